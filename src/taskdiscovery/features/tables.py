"""Features from what people hold: files, frames, arrays, tensors; matched to the images by id.

Axes: N images, M rows of a table, P features.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.formats.archives import read_arrays
from taskdiscovery.data.labels.labelings import is_no_task
from taskdiscovery.data.labels.matching import check_count, rows_by_id
from taskdiscovery.data.labels.rows import counts_rows, rows_of
from taskdiscovery.data.labels.tabular import read_table
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.features.writing import backbone_in
from taskdiscovery.runtime.budget import Budget
from taskdiscovery.types import Backbone, Dataset, IntArray, Matrix
from taskdiscovery.types.classes import column_of

if TYPE_CHECKING:
    import pandas as pd

#: names of a table of features in a file of several arrays, the likeliest first.
NAMES = ("features", "embeddings", "embedding", "x", "X", "data", "arr_0")
#: columns that are none, whatever their case.
NO_FEATURES = ("label", "labels", "class", "target")
IDS = ("ids", "image_id", "image_ids", "filename", "filenames")
FORMS = "npy, npz, Parquet, CSV or safetensors"
_BLOCK = 16_384
#: types that are used as they are, and so stay on disk.
_TAKEN = (np.float16, np.float32, np.float64)
_LOG = logging.getLogger("taskdiscovery")


def read_features(given: Any, dataset: Dataset) -> tuple[Matrix, Backbone | None]:
    """Read the features of a data set.

    Args:
        given: a path of npy, npz, safetensors, Parquet or CSV; a frame; an array, tensor or list
            (N, P). Tables with ids are matched by them, as labels are; others by order, which
            needs as many rows as images. A table has a column of lists, or a column a feature, of
            which those of text give one feature for each of their values.
        dataset: whose images they describe.

    Returns:
        (N, P) floats, memory-mapped where the file is npy and its order is that of the images; and
        the backbone that gave them, where the file says so.

    Raises:
        DataError: for an unreadable file, images without a row, missing or infinite values.
    """
    where, backbone = "features", None
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        where, backbone = str(path), backbone_in(path)
        table, rows_N = _read_file(path, dataset)
    elif hasattr(given, "columns") and hasattr(given, "iloc"):
        from_file = not counts_rows(given.index)
        table, rows_N = _of_frame(given, dataset, "frame of features", from_file)
    else:
        table = numbers_of(column_of(given), where)
        rows_N = _in_order(table, dataset, where)
    return _matched(table, rows_N, where), backbone


def _read_file(path: Path, dataset: Dataset) -> tuple[Matrix, IntArray]:
    """Return (M, P) features of a file, and (N,) the row of each image."""
    where = str(path)
    found = contents(path, dataset.missing)
    if isinstance(found, np.ndarray):
        return found, _in_order(found, dataset, where)
    if isinstance(found, dict):
        return _of_arrays(found, dataset, where)
    return _of_frame(found, dataset, where, True)


def contents(path: Path, missing: Collection[str] = ()) -> Matrix | dict[str, Any] | pd.DataFrame:
    """Read a file of features, whatever is in it.

    Args:
        path: of npy, npz, safetensors, Parquet or CSV.
        missing: texts that stand for a missing value in a table.

    Returns:
        (M, P) of npy, memory-mapped; arrays by name of npz and safetensors, where one has two axes;
        else a frame.

    Raises:
        DataError: for a file that is not there, cannot be read, or is of another kind.
    """
    ending, where = path.suffix.lower(), str(path)
    if not path.is_file():
        raise DataError("there is no such file", where=where, hint="check the path")
    try:
        if ending == ".npy":
            # Copy-on-write: torch takes it without a warning, and nothing is read before its use.
            return numbers_of(np.load(path, mmap_mode="c", allow_pickle=False), where)
        if ending == ".safetensors":
            from safetensors.torch import load_file

            return {name: array_of(tensor) for name, tensor in load_file(path).items()}
        if ending == ".npz":
            arrays, _ = read_arrays(path, Budget.of_file(path), lambda name: True)
            if any(np.ndim(array) == 2 for array in arrays.values()):
                return dict(arrays)
    except DataError:
        raise
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the features cannot be read: {first_line(error)}",
            where=where,
            hint=f"give {FORMS}; pickled objects are never loaded",
        ) from error
    if ending not in (".npz", ".parquet", ".pq", ".csv", ".tsv", ".txt"):
        raise DataError(
            f"features cannot be read from {ending or 'such'} files",
            where=where,
            hint=f"give {FORMS}",
        )
    return read_table(path, missing, needed=None)


def array_of(tensor: Any) -> Any:
    """Return a tensor as an array; NumPy has no bfloat16."""
    import torch

    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _of_arrays(arrays: Mapping[str, Any], dataset: Dataset, where: str) -> tuple[Matrix, IntArray]:
    """Find the table among several arrays, and the row of each image."""
    table, ids = among(arrays, where)
    if ids is None:
        return table, _in_order(table, dataset, where)
    return table, rows_by_id(ids, dataset, where)


def among(arrays: Mapping[str, Any], where: str) -> tuple[Matrix, Any]:
    """Find the table among several arrays, and the ids beside it, or None.

    Raises:
        DataError: where several may be it, or there is another number of ids.
    """
    tables = [name for name, array in arrays.items() if np.ndim(array) == 2]
    named = [name for name in NAMES if name in tables] or (tables if len(tables) == 1 else [])
    if not named:
        raise DataError(
            f"{len(tables)} of {len(arrays)} arrays may be the features: {', '.join(arrays)}",
            where=where,
            hint=f"name one array (N, P) {NAMES[0]}",
        )
    table = numbers_of(arrays[named[0]], where)
    ids = next((arrays[name] for name in IDS if name in arrays), None)
    if ids is not None and len(ids) != len(table):
        raise DataError(
            f"{len(ids)} ids for {len(table)} rows of features",
            where=where,
            hint="give each row an id",
        )
    return table, ids


def _of_frame(
    frame: pd.DataFrame, dataset: Dataset, where: str, from_file: bool
) -> tuple[Matrix, IntArray]:
    """Return features of a column of lists, or of all columns; and (N,) the row of each image."""
    import pandas as pd

    lists = lists_in(frame, where)
    # Lists are no ids, and slow to compare.
    rows_N, ids = rows_of(frame.drop(columns=lists), dataset, where, from_file=from_file)
    if lists:
        return stacked([cells_of(cell) for cell in frame[lists[0]]], where), rows_N
    kept = [c for c in frame.columns if c != ids and not is_no_task(c) and not _is_label(c, where)]
    if not kept:
        raise DataError(
            "the table has no features", where=where, hint="give a column a feature, or of lists"
        )
    # Values that no image has are no features.
    columns = pd.get_dummies(frame[kept].iloc[rows_N.clip(0)], dtype=float)
    rows_N = np.where(rows_N < 0, -1, np.arange(len(rows_N)))
    return columns.to_numpy(dtype=np.float64), rows_N


def lists_in(frame: pd.DataFrame, where: str) -> list[Any]:
    """Return the column of lists, if a table has one.

    Raises:
        DataError: where there are several.
    """
    lists = [c for c in frame.columns if len(frame) and is_list(frame[c].iloc[0])]
    if len(lists) > 1:
        raise DataError(
            f"{len(lists)} columns hold lists: {', '.join(map(str, lists))}",
            where=where,
            hint="keep the one with the features",
        )
    return lists


def _is_label(column: Any, where: str) -> bool:
    """Say whether a column holds labels by its name: as a feature, tasks would follow it."""
    found = str(column).strip().lower() in NO_FEATURES
    if found:
        _LOG.warning("%s: the column %s is not taken as a feature", where, column)
    return found


def is_list(cell: Any) -> bool:
    """Say whether a cell holds the features of an image."""
    return (isinstance(cell, str) and cell.lstrip().startswith("[")) or np.ndim(cell) == 1


def cells_of(cell: Any) -> Any:
    """Return the list that a cell holds, which may be written as JSON; None where it is none."""
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except ValueError:
        return None


def stacked(cells: list[Any], where: str) -> Matrix:
    """Return (M, P) of M lists.

    Raises:
        DataError: naming the first that is none, or of another length.
    """
    for row, cell in enumerate(cells):
        if np.ndim(cell) != 1 or len(cell) != len(cells[0]):
            raise DataError(
                "lists of features have different lengths, or a cell is no list",
                where=f"{where}, row {row}",
                hint=f"give each image a list of {np.size(cells[0])} numbers",
            )
    return numbers_of(np.stack([np.asarray(cell) for cell in cells]), where)


def numbers_of(table: Any, where: str) -> Matrix:
    """Return a table of floats: as they are, or of whole numbers.

    Raises:
        DataError: for another number of axes, or what are no numbers.
    """
    if table.dtype == object and table.ndim == 1 and len(table):  # a list of lists
        return stacked(list(table), where)
    if table.ndim != 2 or not table.shape[1] or table.dtype.kind not in "fiub":
        raise DataError(
            f"features are {table.dtype} of shape {table.shape}",
            where=where,
            hint="give numbers of shape (images, features)",
        )
    if table.dtype in _TAKEN:  # in the byte order of this machine, too
        result: Matrix = table
    else:
        result = table.astype(np.float64 if table.dtype.itemsize > 4 else np.float32)
    return result


def _in_order(table: Matrix, dataset: Dataset, where: str) -> IntArray:
    check_count(len(table), dataset, "rows of features", where)
    return np.arange(len(table), dtype=np.int64)


def _matched(table: Matrix, rows_N: IntArray, where: str) -> Matrix:
    """Put features in the order of the images; those in order already are not copied.

    Raises:
        DataError: counting images without a row, and rows with values that are not finite.
    """
    if (lacking := int((rows_N < 0).sum())) > 0:
        raise DataError(
            f"{lacking} of {len(rows_N)} images have no row of features",
            where=where,
            hint="give every image a row, under the id that `info` shows",
        )
    if len(rows_N) != len(table) or (rows_N != np.arange(len(table))).any():
        table = table[rows_N]
    check_finite(table, where)
    return table


def check_finite(table: Matrix, where: str) -> None:
    """Refuse values that are missing, infinite, or too large for the float32 of what follows.

    Raises:
        DataError: counting the rows that have some.
    """
    with np.errstate(over="ignore"):
        bad = sum(
            int((~np.isfinite(table[i : i + _BLOCK].astype(np.float32)).all(axis=1)).sum())
            for i in range(0, len(table), _BLOCK)
        )
    if bad:
        raise DataError(
            f"{bad} of {len(table)} images have missing or infinite features",
            where=where,
            hint="give every image a number in every column",
        )
