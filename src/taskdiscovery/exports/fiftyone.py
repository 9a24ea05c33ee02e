"""`fiftyone`: FiftyOne's classification format, every column an attribute of the label.

Its documentation has the form (`data/`, `labels.json`) under
`fiftyone.types.FiftyOneImageClassificationDataset`.
"""

from __future__ import annotations

import json

import numpy as np

from taskdiscovery.errors import ConfigError
from taskdiscovery.exports.card import card
from taskdiscovery.exports.folder import CARD, Folder
from taskdiscovery.exports.table import Table, plain, table_of
from taskdiscovery.splits.benchmark.columns import Column
from taskdiscovery.store.writing import finite
from taskdiscovery.types import Document

LABELS, DATA = "labels.json", "data"
#: what FiftyOne's labels call something else.
_OWN = {"id", "tags", "label", "confidence", "logits", "attributes"}


def write(folder: Folder) -> None:
    """Write `data/`, `labels.json`, the table and a card.

    Raises:
        ConfigError: where there are no pictures, which are what FiftyOne shows.
    """
    files = folder.write_pictures(DATA)
    if files is None:
        raise ConfigError(
            "FiftyOne shows pictures, and there are none to export",
            where="export",
            hint="leave --no-images out, give images as DATA, or export --to csv",
        )
    table = table_of(folder.material, files)
    folder.write(LABELS, json.dumps(_labels(table), ensure_ascii=False, indent=1) + "\n")
    folder.write_table(table)
    folder.write(CARD, card(folder, table, _OPENING))


def _labels(table: Table) -> Document:
    """Return the document: a label an image, by the name of its file without the ending."""
    classes = [column for column in table.columns if column.kind == "class"]
    nothing = Column(
        name="image", kind="class", values=np.zeros(len(table["image_id"].values)), classes=("",)
    )
    shown = classes[0] if classes else nothing
    rows = json.loads(table.to_frame().to_json(orient="records"))
    labels = {}
    for row, c in zip(rows, shown.values.tolist(), strict=True):
        name = row["file_name"].rpartition("/")[2].removesuffix(".png")
        own = {_attribute(key): v for key, v in row.items() if v is not None and key != "label"}
        labels[name] = None if c < 0 else {"label": int(c), "attributes": finite(own)}
    return {"classes": list(shown.classes), "labels": labels}


def _attribute(name: str) -> str:
    """Return what a column is called as an attribute of a label, which has names of its own."""
    called = plain(name)
    return f"attribute_{called}" if called in _OWN else called


_OPENING = """
In this folder:

```python
import fiftyone as fo
import pandas as pd

dataset = fo.Dataset.from_dir(
    dataset_dir=".",
    dataset_type=fo.types.FiftyOneImageClassificationDataset,
    label_field="label",
)
# Every column of the table as a field of its own, to filter and colour by:
table = pd.read_csv("table.csv", dtype={"image_id": str}).astype(object)
table = table.where(table.notna(), None)
table = table.set_index(table.pop("file_name").str.split("/").str[-1])
names = [path.replace("\\\\", "/").split("/")[-1] for path in dataset.values("filepath")]
for column in table.columns.difference(["label"]):
    dataset.set_values(column, table.loc[names, column].tolist())
fo.launch_app(dataset)
```
"""
