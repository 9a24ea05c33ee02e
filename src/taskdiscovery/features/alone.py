"""Features that stand alone: a table whose rows are what others have images for.

Axes: N rows, P features.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config.specs import parse
from taskdiscovery.data.images.contents import fingerprint, hash_images
from taskdiscovery.data.labels.cells import is_cell
from taskdiscovery.data.labels.columns import columns_of, label_codes
from taskdiscovery.data.labels.rows import ID_COLUMNS, PERHAPS, UNNAMED, counts_rows
from taskdiscovery.data.loading import KINDS
from taskdiscovery.data.readers.objects import attributes_in_order, in_order
from taskdiscovery.data.readers.table import FILES
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.features.tables import (
    NO_FEATURES,
    among,
    cells_of,
    check_finite,
    contents,
    is_list,
    lists_in,
    numbers_of,
    stacked,
)
from taskdiscovery.features.writing import backbone_in
from taskdiscovery.types import Backbone, Dataset, Document, IdArray, IntArray, Matrix
from taskdiscovery.types.classes import column_of

if TYPE_CHECKING:
    import pandas as pd

#: the kind of DATA: `features:PATH`.
KIND = "features"
#: endings of files that hold features and cannot hold images.
_ENDINGS = (".npy", ".safetensors")
_LABELS = (*NO_FEATURES, "y")


def path_alone(data: Any) -> Path | None:
    """Return the file of features that stand alone, by their name; None for any other DATA.

    Args:
        data: anything that `load` takes: `features:PATH`, or the path of an npy or safetensors
            file.
    """
    if not isinstance(data, str | Path):
        return None
    text = str(data)
    if isinstance(data, str) and text.startswith(f"{KIND}:"):
        return Path(parse(text).path).expanduser()
    path = Path(text).expanduser()
    bare = isinstance(data, Path) or (":" not in text and text not in KINDS)
    return path if bare and path.suffix.lower() in _ENDINGS and path.is_file() else None


def is_alone(data: Any) -> bool:
    """Say whether data is features without images: by its name, or a table of numbers."""
    if isinstance(data, str | Path):
        return path_alone(data) is not None
    if isinstance(data, Dataset):
        return not data.has_images
    if hasattr(data, "columns") and hasattr(data, "iloc"):
        return _is_table(data)
    if isinstance(data, list) and data and isinstance(data[0], list) and data[0]:
        return isinstance(data[0][0], int | float)
    return getattr(data, "ndim", None) == 2 and hasattr(data, "dtype")


def _is_table(frame: pd.DataFrame) -> bool:
    """Say whether a frame has features and no column of images."""
    if not len(frame) or any(str(c).strip().lower() in FILES for c in frame.columns):
        return False
    first = {c: frame[c].iloc[0] for c in frame.columns}
    if any(np.ndim(v) > 1 or (is_cell(v) and not isinstance(v, str)) for v in first.values()):
        return False  # pictures, or files of them
    named = (*ID_COLUMNS, *PERHAPS, *_LABELS)
    wide = [c for c in frame.columns if frame[c].dtype.kind in "fiub"]
    wide = [c for c in wide if str(c).strip().lower() not in named]
    return any(is_list(v) for v in first.values()) or len(wide) > 1


def load_alone(data: Any, labels: Any = None, attributes: Any = None) -> Dataset:
    """Read features that stand alone.

    Args:
        data: `features:PATH` or a path of npy, npz, safetensors, Parquet or CSV; an array or tensor
            (N, P), or a frame. Tables have a column of lists, or a column a feature; those with a
            column `label` have labels, and other columns of text become attributes.
        labels: (N,) of arrays.
        attributes: one row per row, of arrays.

    Returns:
        A data set whose images have no pixels; ids are those of the table, else row numbers.

    Raises:
        DataError: for content that cannot be used.
    """
    path = path_alone(data)
    backbone: Backbone | None = None
    if path is not None:
        name, backbone = str(data), backbone_in(path)
        table, more = _of_file(path)
    elif hasattr(data, "columns") and hasattr(data, "iloc"):
        name = "frame"
        table, more = _of_frame(data, name)
    else:
        name = "array"
        table, more = numbers_of(column_of(data), name), {}
    check_finite(table, name)
    if len(table) > 1 and all(
        (table[i : i + 8192] == table[0]).all() for i in range(0, len(table), 8192)
    ):
        raise DataError(
            "every row of features is the same", where=name, hint="check how they were written"
        )
    more = {k: v for k, v in more.items() if v is not None}
    if labels is not None:
        more["labels"] = in_order(labels)
    if attributes is not None:
        more["attributes"] = attributes_in_order(attributes)
    return _dataset(table, name, backbone, **more)


def _dataset(
    table: Matrix,
    name: str,
    backbone: Backbone | None,
    *,
    ids: Any = None,
    labels: Any = None,
    attributes: pd.DataFrame | None = None,
) -> Dataset:
    """Put a data set together.

    Raises:
        DataError: for no rows, another number of labels or ids, or ids that occur twice.
    """
    N = len(table)
    if not N:
        raise DataError("the table has no rows", where=name, hint="give a row per image")
    names: IdArray = np.array([str(i) for i in (range(N) if ids is None else ids)], dtype=np.str_)
    if len(names) != N or len(np.unique(names)) != N:
        raise DataError(
            f"{len(np.unique(names))} distinct ids for {N} rows",
            where=name,
            hint="give each row an id of its own",
        )
    codes: IntArray | None = None
    classes: tuple[str, ...] = ()
    if labels is not None:
        column = column_of(labels)
        if column.shape != (N,):
            raise DataError(
                f"{column.shape} labels for {N} rows", where=name, hint="give one label per row"
            )
        codes, classes = label_codes(column, where=f"{name}, labels")
    if attributes is not None:
        attributes = attributes.reset_index(drop=True)
    return Dataset(
        images=np.zeros((N, 0, 0, 1), dtype=np.uint8),
        ids=names,
        labels=codes,
        classes=classes,
        attributes=attributes,
        features=table,
        backbone=backbone,
        name=name,
        fingerprint=fingerprint(hash_images(table), names.tolist(), codes),
    )


def _of_file(path: Path) -> tuple[Matrix, Document]:
    """Return the features of a file, and what else it says of its rows."""
    found = contents(path)
    if isinstance(found, np.ndarray):
        return found, {}
    if not isinstance(found, dict):
        return _of_frame(found, str(path))
    table, ids = among(found, str(path))
    labels = next((found[n] for n in _LABELS if n in found and np.ndim(found[n]) == 1), None)
    return table, {"ids": ids, "labels": labels}


def _of_frame(frame: pd.DataFrame, where: str) -> tuple[Matrix, Document]:
    """Return the features of a table, its ids, labels and attributes."""
    known = {str(c).strip().lower(): c for c in reversed(frame.columns)}
    ids_in = next((known[n] for n in (*ID_COLUMNS, *PERHAPS) if n in known), None)
    label = next((known[n] for n in _LABELS if n in known), None)
    lists = lists_in(frame, where)
    others = [c for c in frame.columns if c not in (ids_in, *lists) and str(c) != UNNAMED]
    if lists:
        table = stacked([cells_of(cell) for cell in frame[lists[0]]], where)
    else:
        wide = [c for c in others if frame[c].dtype.kind in "fiub" and c != label]
        if not wide:
            raise DataError(
                "the table has no features",
                where=where,
                hint="give a column a feature, or a column of lists",
            )
        table = frame[wide].to_numpy(dtype=np.float64)
        others = [c for c in others if c not in wide]
    ids = None if ids_in is None else frame[ids_in].tolist()
    if ids is None and not counts_rows(frame.index):
        ids = frame.index.tolist()
    found = columns_of(frame[others].reset_index(drop=True), label, where=where)
    values = None
    if found.labels is not None:
        values = np.array([*found.classes, None], dtype=object)[found.labels]
    return table, {"ids": ids, "labels": values, "attributes": found.attributes}


def check_alone(data: str) -> None:
    """Refuse `features:PATH` that cannot be, without reading it.

    Raises:
        ConfigError, DataError: naming what is wrong.
    """
    path = path_alone(data)
    if path is None or not str(path) or str(path) == ".":
        raise ConfigError(f"{data!r} names no place", where="DATA", hint=f"write {KIND}:PATH")
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
