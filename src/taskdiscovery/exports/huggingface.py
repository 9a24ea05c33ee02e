"""`hf`: a Hugging Face data set, with the partition and every split as configurations.

    README.md                                 the card, which names the files of each
    data/train-00000-of-00001.parquet         and test: as discovery was given the images
    split-NAME/train-00000-of-00001.parquet   and within, test, of each split
    split-NAME/metadata.csv                   the same for code that reads Waterbirds

Axes: N images, n rows of a part.
"""

from __future__ import annotations

import re

import numpy as np
import yaml

from taskdiscovery.exports.card import card
from taskdiscovery.exports.folder import CARD, Folder, file_of
from taskdiscovery.exports.table import Table
from taskdiscovery.splits.benchmark.columns import IMAGE
from taskdiscovery.splits.benchmark.shards import Rows, check_png, write_shards
from taskdiscovery.types import ROLES, Document, ImageArray, IntArray
from taskdiscovery.types.showing import BLUR, as_shown, mode

DEFAULT = "default"


def write(folder: Folder) -> None:
    """Write all parts and the card.

    Raises:
        DataError: for images that PNG does not hold.
    """
    table, images = folder.bare, _shown(folder)
    if images is not None:
        check_png(folder.material.dataset)
    kept = Rows(columns=table.columns, images=images, name=file_of)
    configs: list[Document] = []
    infos: list[Document] = []
    for config, parts in _parts(folder, table).items():
        base = "data" if config == DEFAULT else config
        files, splits = [], []
        for name, rows in parts.items():
            size = write_shards(folder.place / base / name, kept, rows, folder.meter)
            files.append({"split": name, "path": f"{base}/{name}-*.parquet"})
            splits.append({"name": name, "num_bytes": size, "num_examples": len(rows)})
        own: Document = {"config_name": config, "data_files": files}
        configs.append({**own, "default": True} if config == DEFAULT else own)
        entries: list[Document] = [] if images is None else [{"name": IMAGE, "dtype": "image"}]
        entries += [column.entry for column in table.columns]
        infos.append({"config_name": config, "features": entries, "splits": splits})
    _write_metadata(folder)
    head = {
        "pretty_name": folder.title,
        "task_categories": ["image-classification"],
        "tags": ["spurious-correlation", "distribution-shift", "taskdiscovery"],
        "configs": configs,
        "dataset_info": infos,
    }
    text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
    folder.write(CARD, f"---\n{text}---\n\n{card(folder, table, _opening(configs))}")


def _shown(folder: Folder) -> ImageArray | None:
    images = folder.pictures
    return as_shown(np.asarray(images)) if images is not None and mode() == BLUR else images


def _parts(folder: Folder, table: Table) -> dict[str, dict[str, IntArray]]:
    """Return the rows of each part of each configuration; parts without images are left out."""
    partition = table["partition"].values
    found = {DEFAULT: {name: np.flatnonzero(partition == name) for name in ("train", "test")}}
    if not any(map(len, found[DEFAULT].values())):  # nothing was drawn or given
        found[DEFAULT] = {"train": np.arange(len(partition))}
    for name, split in folder.material.splits.items():
        found[config_of(name)] = {role: split.indices(role) for role in ROLES}
    return {
        config: {name: rows for name, rows in parts.items() if len(rows)}
        for config, parts in found.items()
    }


def config_of(split: str) -> str:
    """Return what the configuration of a split is called, as a folder, too."""
    return f"split-{re.sub(r'[^0-9A-Za-z._-]+', '-', split)}"


def _write_metadata(folder: Folder) -> None:
    """Write `metadata.csv` of each split: an image a row, in the order of its tables."""
    for name, split in folder.material.splits.items():
        rows = np.concatenate([split.indices(role) for role in ROLES])
        frame = split.to_frame().set_index("img_filename").loc[split.ids_N[rows]].reset_index()
        frame.insert(0, "img_id", np.arange(len(frame)))
        text = frame.to_csv(index=False, lineterminator="\n")
        folder.write(f"{config_of(name)}/metadata.csv", text)


def _opening(configs: list[Document]) -> str:
    lines = [f'datasets.load_dataset("PATH", "{own["config_name"]}")' for own in configs]
    return f"""
`PATH` is this folder, or its name on the hub:

```python
import datasets

{chr(10).join(lines)}
```

`taskdiscovery.load("parquet:PATH/data")` reads it, too. `default` has the images as discovery was
given them; each split has `train`, `test` and, held out of the train side, `within`; and
`metadata.csv` with the columns of Waterbirds (`split`: 0 train, 1 within, 2 test; `place`: the
class of the task).
"""
