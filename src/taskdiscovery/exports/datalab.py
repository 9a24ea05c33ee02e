"""`cleanlab`: what its Datalab takes, as files: labels, features, images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from taskdiscovery.exports.card import card
from taskdiscovery.exports.folder import CARD, Folder
from taskdiscovery.exports.table import table_of
from taskdiscovery.splits.benchmark.building import put
from taskdiscovery.types import Float32

FEATURES = "features.npy"


def write(folder: Folder) -> None:
    """Write `table.csv`, `features.npy` where there are numbers of each image, images, a card."""
    table = table_of(folder.material, folder.write_pictures("images"))
    folder.write_table(table)
    features, words = _features(folder)
    if features is not None:
        _put_array(folder.place / FEATURES, features)
    folder.write(CARD, card(folder, table, _opening("label" in table, words)))


def _features(folder: Folder) -> tuple[Float32 | None, str]:
    """Return (N, P) numbers of each image, and what they are."""
    dataset, tasks = folder.material.dataset, folder.material.tasks
    if dataset.features is not None:
        name = dataset.backbone.name if dataset.backbone is not None else "the data"
        return np.asarray(dataset.features, dtype=np.float32), f"the features of {name}"
    if tasks is not None and tasks.coordinates_NP is not None:
        return np.asarray(tasks.coordinates_NP, dtype=np.float32), "the coordinates of the tasks"
    return None, ""


def _put_array(path: Path, values: Float32) -> None:
    stream = io.BytesIO()
    np.save(stream, values, allow_pickle=False)
    put(path, stream.getvalue())


def _opening(labelled: bool, words: str) -> str:
    column, named = ("label", ', label_name="label"') if labelled else ("image_id", "")
    loaded = f'features = np.load("{FEATURES}")  # {words}\n' if words else ""
    given = "features=features[known]" if words else ""
    return f"""
In this folder, with `pip install 'cleanlab[image]'`:

```python
import numpy as np
import pandas as pd
from cleanlab import Datalab

table = pd.read_csv("table.csv", dtype={{"image_id": str, "label": str}})
{loaded}known = table["{column}"].notna().to_numpy()  # images without a class take no part
lab = Datalab({{"{column}": table.loc[known, "{column}"].tolist()}}{named})
lab.find_issues({given})
issues = lab.get_issues()  # a row an image; beside it, table[known] has tasks, splits, agreement
```

Out-of-fold probabilities of a classifier of yours (`pred_probs=`) find label errors better than
features do. An image on which runs disagree (`agreement_…`) is worth a look beside its scores.
"""
