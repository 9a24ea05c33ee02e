"""`spotlight`: a table with the types that Renumics Spotlight shows its columns as."""

from __future__ import annotations

import json

import numpy as np

from taskdiscovery.exports.card import card
from taskdiscovery.exports.folder import CARD, Folder
from taskdiscovery.exports.table import Table, table_of
from taskdiscovery.splits.benchmark.building import put
from taskdiscovery.store.writing import parquet_bytes

_KINDS = {"class": "Category", "float64": "float", "int64": "int", "bool": "bool", "string": "str"}
#: columns of text with few values, which are filtered by rather than read.
_CHOICES = ("partition", "split_", "cue_", "belongs_to")
FILE, TYPES, COORDINATES = "table.parquet", "dtypes.json", "coordinates"


def write(folder: Folder) -> None:
    """Write `table.parquet`, `dtypes.json`, the images, and a card."""
    table = table_of(folder.material, folder.write_pictures("images"))
    frame, types = table.to_frame(), _types(table)
    for name in (name for name, kind in types.items() if kind == "Category"):
        frame[name] = frame[name].fillna("")  # it sorts categories, and None is no text
    tasks = folder.material.tasks
    if tasks is not None and tasks.coordinates_NP is not None:
        # what the map of similar images is drawn from
        frame[COORDINATES] = list(np.asarray(tasks.coordinates_NP, dtype=np.float32))
        types[COORDINATES] = "Embedding"
    put(folder.place / FILE, parquet_bytes(frame))
    folder.write(TYPES, json.dumps(types, indent=1) + "\n")
    folder.write_table(table)
    folder.write(CARD, card(folder, table, _OPENING))


def _types(table: Table) -> dict[str, str]:
    found = {}
    for column in table.columns:
        kind = _KINDS[column.kind]
        if column.kind == "string" and column.name.startswith(_CHOICES):
            kind = "Category"
        found[column.name] = "Image" if column.name == "file_name" else kind
    return found


_OPENING = f"""
In this folder:

```python
import json

import pandas as pd
from renumics import spotlight

table = pd.read_parquet("{FILE}")
spotlight.show(table, dtype=json.load(open("{TYPES}")), folder=".")
```
"""
