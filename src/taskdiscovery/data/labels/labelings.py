"""Labelings from tables: a column for each, matched to the images by id or by row order.

Axes: N images, M rows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.labels.rows import UNNAMED, counts_rows, is_id_column, rows_of
from taskdiscovery.data.labels.tabular import read_table
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import BoolArray, Dataset, IntArray, Labeling, class_codes
from taskdiscovery.types.classes import without_empty

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger("taskdiscovery")

#: who sees what, as `label` and `discover` write it; and what others call it: no labels of images.
PARTITION = "partition"
_ROLES = (PARTITION, "split")
#: a column of more different values is read where it is named.
_VALUES = 100


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
    path: Path, dataset: Dataset, columns: Sequence[str] | None = None
) -> list[Labeling]:
    """Read labelings of a data set.

    Args:
        path: CSV, Parquet or npz, with ids in a column (image_id, filename, file, path, id, …) or
            in an index that pandas wrote.
        dataset: whose images they label. Rows are matched by id where there are ids, and else by
            order, which needs as many rows as images.
        columns: which ones; by default all that may be classes: of at most 100 different values,
            or class indices 0, 1, 2, ….

    Returns:
        One labeling per column; images without a value have class -1. Where the table has a column
        `partition`, as this package writes it, they know which images discovery has seen.

    Raises:
        DataError: for an unreadable file, other counts, ids that do not match.
        ConfigError: for a column that is not there.
    """
    frame = read_table(path, dataset.missing, needed=columns or ())
    rows, ids = rows_of(frame, dataset, str(path))
    known = {str(c): c for c in frame.columns if c not in (ids, UNNAMED)}
    if columns is None:
        columns = _classes({n: frame[c] for n, c in known.items() if not is_no_task(c)}, str(path))
    for column in columns:
        if column not in known:
            raise ConfigError(f"no column {column!r}", where=str(path), hint=nearest(column, known))
    if not columns:
        raise DataError("the file has no labelings", where=str(path), hint="give a column per task")
    seen = _seen(frame, rows)
    return [replace(labeling_of(c, frame[known[c]], rows, dataset), seen_N=seen) for c in columns]


def labelings_of_frame(dataset: Dataset, frame: pd.DataFrame) -> list[Labeling]:
    """Return one labeling per column of a frame, its rows matched as those of a file are.

    Raises:
        DataError: as `read_labelings`, and for a column with one class only.
    """
    rows, ids = rows_of(frame, dataset, "frame", from_file=not counts_rows(frame.index))
    columns = [c for c in frame.columns if c not in (ids, PARTITION) and not is_id_column(c)]
    made = [checked(labeling_of(str(c), frame[c], rows, dataset)) for c in columns]
    seen = _seen(frame, rows)
    return [replace(labeling, seen_N=seen) for labeling in made]


def labeling_of(name: str, values: Any, rows_N: IntArray, dataset: Dataset) -> Labeling:
    """Make a labeling of values in the order of a table.

    Args:
        name: what to call it.
        values: (M,) of any kind.
        rows_N: (N,) the row of each image, -1 for none.
        dataset: the images.
    """
    codes_M, classes = class_codes(name, values, dataset.missing)
    labels_N = np.where(rows_N < 0, -1, codes_M[rows_N])
    labels_N, classes = without_empty(labels_N, classes)
    return Labeling(name=name, classes=classes, labels_N=labels_N, ids_N=dataset.ids)


def checked(labeling: Labeling) -> Labeling:
    """Return a labeling.

    Raises:
        DataError: where it has fewer than two classes.
    """
    if len(np.unique(labeling.labels_N[labeling.known_N])) < 2:
        raise DataError(
            f"{labeling.name} gives every image the same class",
            where=labeling.name,
            hint="choose labels with at least two classes among these images",
        )
    return labeling


def _seen(frame: pd.DataFrame, rows_N: IntArray) -> BoolArray | None:
    """Return (N,) which images a discovery may have seen; None where the table does not say."""
    if PARTITION not in frame.columns:
        return None
    part_M = frame[PARTITION].astype(str).to_numpy()
    if not set(part_M.tolist()) <= {"train", "test"}:
        return None
    # What is not known to be unseen may have been seen.
    return (rows_N < 0) | (part_M == "train")[rows_N]


def is_no_task(column: object) -> bool:
    """Say whether a column names images or says who sees them."""
    return is_id_column(column) or str(column) in _ROLES or column == UNNAMED


def _classes(columns: Mapping[str, pd.Series], where: str) -> list[str]:
    """Return the columns that may hold classes; say which do not."""
    chosen: list[str] = []
    left: list[str] = []
    for name, values in columns.items():
        try:
            distinct = values.nunique()
        except TypeError:  # of lists
            continue
        whole = values.dtype.kind in "iu" and values.min() == 0 and values.max() == distinct - 1
        indices = whole and 2 * distinct <= len(values)
        (chosen if distinct <= _VALUES or indices else left).append(name)
    if left:
        _LOG.warning(
            "%s: left out %s, of more than %d different values; to read one, name it: FILE:COLUMN",
            where,
            ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else ""),
            _VALUES,
        )
    return chosen
