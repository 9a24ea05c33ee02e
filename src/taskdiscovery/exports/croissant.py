"""`croissant`: the table and the images, described by Croissant 1.0 (MLCommons) in JSON-LD."""

from __future__ import annotations

import hashlib
import json

from taskdiscovery.exports.card import card
from taskdiscovery.exports.folder import CARD, TABLE, Folder
from taskdiscovery.exports.table import Table, plain, table_of
from taskdiscovery.types import Document

DESCRIPTION = "croissant.json"
_IMAGES, _ROWS = "images", "rows"
_KINDS = {"int64": "sc:Integer", "float64": "sc:Float", "bool": "sc:Boolean"}
#: terms that Croissant has a short name for, as its specification lists them.
_TERMS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject"),
    *("fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField"),
    *("path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate"),
    *("separator", "source", "subField", "transform"),
)
_CONTEXT: Document = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _TERMS},
}


def write(folder: Folder) -> None:
    """Write `croissant.json`, the table, the images and a card."""
    files = folder.write_pictures(_IMAGES)
    # Files are joined to rows by their names alone.
    names = None if files is None else tuple(file.rpartition("/")[2] for file in files)
    table = table_of(folder.material, names)
    folder.write_table(table)
    document = _document(folder, table)
    folder.write(DESCRIPTION, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    folder.write(CARD, card(folder, table, _OPENING))


def _document(folder: Folder, table: Table) -> Document:
    digest = hashlib.sha256((folder.place / TABLE).read_bytes()).hexdigest()
    distribution: list[Document] = [
        {
            "@type": "cr:FileObject",
            "@id": TABLE,
            "name": TABLE,
            "description": "one row per image",
            "contentUrl": TABLE,
            "encodingFormat": "text/csv",
            "sha256": digest,
        }
    ]
    fields = [_field(table, name) for name in table.about]
    if "file_name" in table:
        distribution.append(
            {
                "@type": "cr:FileSet",
                "@id": _IMAGES,
                "name": _IMAGES,
                "description": "the images, as networks saw them",
                "encodingFormat": "image/png",
                "includes": f"{_IMAGES}/*.png",
            }
        )
        fields = [*fields, _picture()]
    rows = {
        "@type": "cr:RecordSet",
        "@id": _ROWS,
        "name": _ROWS,
        "description": "one row per image",
        "key": {"@id": f"{_ROWS}/image_id"},
        "field": fields,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": plain(folder.title),
        "description": f"Tasks, splits and agreement by image of {folder.title}.",
        "license": "The terms that the images came under.",
        "url": "https://arxiv.org/abs/2212.00261",
        "version": "1.0.0",
        "distribution": distribution,
        "recordSet": [rows],
    }


def _field(table: Table, name: str) -> Document:
    field: Document = {
        "@type": "cr:Field",
        "@id": f"{_ROWS}/{plain(name)}",
        "name": plain(name),
        "description": table.about[name],
        "dataType": _KINDS.get(table[name].kind, "sc:Text"),
        "source": {"fileObject": {"@id": TABLE}, "extract": {"column": name}},
    }
    if name == "file_name":
        field["references"] = {"fileSet": {"@id": _IMAGES}, "extract": {"fileProperty": "filename"}}
    return field


def _picture() -> Document:
    return {
        "@type": "cr:Field",
        "@id": f"{_ROWS}/image",
        "name": "image",
        "description": "the picture",
        "dataType": "sc:ImageObject",
        "source": {"fileSet": {"@id": _IMAGES}, "extract": {"fileProperty": "content"}},
    }


_OPENING = f"""
In this folder, with `pip install mlcroissant`:

```python
import mlcroissant

dataset = mlcroissant.Dataset(jsonld="{DESCRIPTION}")
for row in dataset.records("{_ROWS}"):
    print(row["{_ROWS}/image_id"], row.get("{_ROWS}/label"))
    break
```
"""
