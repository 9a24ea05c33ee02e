"""Labelings from files: a column per task, matched to the images by id or by row order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.matching import check_count, rows_by_id
from taskdiscovery.data.table import read_csv
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import Dataset, FloatArray, Labeling

if TYPE_CHECKING:
    import pandas as pd

IDS = ("image_id", "id", "file", "img_filename", "path")
_NO_TASKS = (*IDS, "partition", "split", "Unnamed: 0")


def split_file_column(text: str) -> tuple[Path, str]:
    """Split `FILE:COLUMN` at the last colon.

    Raises:
        ConfigError: where there is no column.
    """
    file, colon, column = text.rpartition(":")
    if not colon or not file or not column:
        raise ConfigError(
            f"cannot read {text!r}", hint="write FILE:COLUMN, e.g. tasks.csv:task_000"
        )
    return Path(file), column


def read_labelings(
    path: Path, dataset: Dataset, columns: list[str] | None = None
) -> list[Labeling]:
    """Read labelings of a data set.

    Args:
        path: CSV, Parquet or npz; an id column is one of image_id, id, file, img_filename, path.
        dataset: whose images they label. Rows are matched by id where there is an id column, and
            else by order, which needs as many rows as images.
        columns: which ones; by default all with at most 100 different values.

    Returns:
        One labeling per column; images without a value have class -1.

    Raises:
        DataError: for an unreadable file, other counts, ids that do not match.
        ConfigError: for a column that is not there.
    """
    frame = _read(path)
    tasks = [c for c in frame.columns if c not in _NO_TASKS]
    if columns is None:
        columns = [c for c in tasks if frame[c].nunique() <= 100]
    for column in columns:
        if column not in tasks:
            raise ConfigError(
                f"no column {column!r}", where=str(path), hint=nearest(column, map(str, tasks))
            )
    if not columns:
        raise DataError("the file has no labelings", where=str(path), hint="give a column per task")
    frame = _match(frame, dataset, path)
    return [Labeling.from_values(c, frame[c].tolist(), dataset.ids) for c in columns]


def read_features(path: Path, dataset: Dataset) -> FloatArray:
    """Read given features or factors of a data set.

    Args:
        path: CSV, Parquet or npz, matched to the images as labelings are; columns of text give one
            feature for each of their values.
        dataset: whose images they describe.

    Returns:
        (N, F) numbers.

    Raises:
        DataError: for an unreadable file, missing or infinite values, ids that do not match.
    """
    import pandas as pd

    frame = _match(_read(path), dataset, path)
    frame = frame[[c for c in frame.columns if c not in _NO_TASKS]]
    columns = pd.get_dummies(frame, dtype=float).to_numpy(dtype=np.float64)
    if columns.shape[1] == 0 or not np.isfinite(columns).all():
        bad = int((~np.isfinite(columns)).any(axis=1).sum())
        raise DataError(
            f"{bad} of {len(columns)} images have missing or infinite features"
            if bad
            else "the table has no features",
            where=str(path),
            hint="give every image a number in every column",
        )
    return columns


def _match(frame: pd.DataFrame, dataset: Dataset, path: Path) -> pd.DataFrame:
    id_column = next((c for c in IDS if c in frame.columns), None)
    if id_column is None:
        check_count(len(frame), dataset, "rows", str(path))
        return frame
    rows = rows_by_id(frame[id_column].tolist(), dataset, f"{path}, column {id_column}")
    return frame.reset_index(drop=True).reindex(rows).reset_index(drop=True)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv", ".txt"):
        return read_csv(path)
    try:
        if ending == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return pd.DataFrame({key: file[key] for key in file.files})
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the labelings cannot be read: {str(error).splitlines()[0][:200]}",
            where=str(path),
            hint="give CSV, Parquet or npz without pickled objects",
        ) from error
    raise DataError(
        f"labelings cannot be read from {ending or 'such'} files",
        where=str(path),
        hint="give CSV, Parquet or npz",
    )
