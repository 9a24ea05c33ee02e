"""Features as files, and the backbone that a file says they are from.

Axes: N images, P features.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.errors import ConfigError, DataError, first_line
from taskdiscovery.types import Backbone, Dataset

if TYPE_CHECKING:
    import pyarrow as pa

#: the key that it stands under in a Parquet file.
KEY = b"taskdiscovery.backbone"
ENDINGS = (".npy", ".parquet")


def check_place(path: Path) -> None:
    """Refuse a file that features are not written to.

    Raises:
        ConfigError: naming those that they are.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(
            "features go into .parquet, which keeps ids and the backbone, or .npy, which does not",
            where=str(path),
            hint="rename --out",
        )


def table_of(dataset: Dataset) -> pa.Table:
    """Return a table of `image_id` and `features`, with the backbone in its metadata."""
    import pyarrow as pa

    assert dataset.features is not None
    values = pa.array(np.ascontiguousarray(dataset.features).reshape(-1))
    lists = pa.FixedSizeListArray.from_arrays(values, dataset.features.shape[1])
    table = pa.table({"image_id": pa.array(dataset.ids.tolist()), "features": lists})
    known = "" if dataset.backbone is None else json.dumps(dataset.backbone.to_json())
    return table.replace_schema_metadata({KEY: known.encode()} if known else None)


def backbone_in(path: Path) -> Backbone | None:
    """Return the backbone that a Parquet file says its features are from; None where none is said.

    Raises:
        DataError: where what it says cannot be read.
    """
    if path.suffix.lower() not in (".parquet", ".pq") or not path.is_file():
        return None
    import pyarrow.parquet as pq

    try:
        said = (pq.read_schema(path).metadata or {}).get(KEY)
        return None if said is None else backbone_from(json.loads(said))
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the features cannot be read: {first_line(error)}",
            where=str(path),
            hint="write them again with taskdiscovery embed",
        ) from error


def backbone_from(document: object) -> Backbone:
    """Read a backbone as a file keeps it.

    Raises:
        ValueError: where it is none.
    """
    return Backbone.from_json(document)
