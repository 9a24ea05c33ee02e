"""Labelings from files: a column per task, matched to the images by id or by row order."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.table import read_csv
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import Dataset, FloatArray, Target, target_from_values

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
            f"cannot read {text!r}", mend="write FILE:COLUMN, e.g. tasks.csv:task_000"
        )
    return Path(file), column


def read_labelings(path: Path, dataset: Dataset, columns: list[str] | None = None) -> list[Target]:
    """Read labelings of a data set.

    Args:
        path: CSV, Parquet or npz; an id column is one of image_id, id, file, img_filename, path.
        dataset: whose images they label. Rows are matched by id where there is an id column, and
            else by order, which needs as many rows as images.
        columns: which ones; by default all with at most 100 different values.

    Returns:
        One target per column; images without a value have class -1.

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
                f"no column {column!r}", where=str(path), mend=nearest(column, map(str, tasks))
            )
    if not columns:
        raise DataError("the file has no labelings", where=str(path), mend="give a column per task")
    frame = _match(frame, dataset, path)
    return [target_from_values(column, frame[column].tolist()) for column in columns]


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
            mend="give every image a number in every column",
        )
    return columns


def _match(frame: pd.DataFrame, dataset: Dataset, path: Path) -> pd.DataFrame:
    id_column = next((c for c in IDS if c in frame.columns), None)
    if id_column is None:
        if len(frame) != len(dataset):
            raise DataError(
                f"{len(frame)} rows for {len(dataset)} images",
                where=str(path),
                mend="give one row per image, or a column image_id",
            )
        return frame
    if frame.empty:
        raise DataError("the table has no rows", where=str(path), mend="give a row per image")
    ids = frame[id_column].astype(str)
    if ids.duplicated().any():
        raise DataError(
            f"{int(ids.duplicated().sum())} ids occur more than once",
            where=f"{path}, column {id_column}",
            mend="give each image one row",
        )
    matched = frame.set_axis(ids, axis=0).reindex(dataset.ids.tolist())
    found = int(np.isin(dataset.ids, ids.to_numpy(dtype=np.str_)).sum())
    if found == 0:
        raise DataError(
            f"no id matches an image, e.g. {ids.iloc[0]!r} against {str(dataset.ids[0])!r}",
            where=f"{path}, column {id_column}",
            mend="use the image ids that `info` shows",
        )
    return matched


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise DataError("there is no such file", where=str(path), mend="check the path")
    ending = path.suffix.lower()
    if ending in (".csv", ".tsv", ".txt"):
        return read_csv(path)
    try:
        if ending == ".npz":
            with np.load(path, allow_pickle=False) as file:
                return pd.DataFrame({key: file[key] for key in file.files})
        if ending in (".parquet", ".pq"):
            return pd.read_parquet(path)
    except Exception as error:  # what hostile files raise has no end
        raise DataError(
            f"the labelings cannot be read: {str(error).splitlines()[0][:200]}",
            where=str(path),
            mend="give CSV, Parquet or npz without pickled objects",
        ) from error
    raise DataError(
        f"labelings cannot be read from {ending or 'such'} files",
        where=str(path),
        mend="give CSV, Parquet or npz",
    )
