"""Images as nested lists of bytes, in a column of a Parquet file.

Axes: n images of a batch, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.data.formats.columnar import Columnar
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.budget import Budget
from taskdiscovery.types import ImageArray

#: images read at once, at most.
_ROWS = 1024


def is_pixels(kind: Any) -> bool:
    """Say whether a type is that of lists in lists (in lists) of uint8."""
    import pyarrow as pa

    depth, kind = 0, _stored(kind)
    while _is_list(kind):
        kind, depth = _stored(kind.value_type), depth + 1
    return depth in (2, 3) and bool(pa.types.is_uint8(kind))


def read_pixels(files: Sequence[Columnar], column: str, where: str, budget: Budget) -> ImageArray:
    """Read the images of all files.

    Args:
        files: Parquet files that are open.
        column: of the images.
        where: for the error.
        budget: of memory, that the images are taken from.

    Returns:
        (N, H, W) or (N, H, W, C) as the lists are nested.

    Raises:
        DataError: naming the row, where a list or a value is missing, or lists are of another
            length than those of the first image; where the images take too much.
    """
    images: ImageArray | None = None
    rows, row = sum(file.rows for file in files), 0
    for file in files:
        for values in file.batches(column, budget, _ROWS):
            part = _batch(values, row, None if images is None else images.shape[1:], where)
            if images is None:
                budget.take(rows * part[0].nbytes, f"column {column}, of {rows:,} images,")
                images = np.empty((rows, *part.shape[1:]), dtype=np.uint8)
            images[row : row + len(part)] = part
            row += len(part)
    if images is None or row != rows:
        raise DataError(
            f"there are {row} images for {rows} rows",
            where=where,
            hint="check that the file is complete",
        )
    return images


def _batch(values: Any, row: int, shape: tuple[int, ...] | None, where: str) -> ImageArray:
    """Turn a column of nested lists into (n, H, W[, C]).

    Args:
        values: the lists of some rows.
        row: the first of these.
        shape: (H, W[, C]) of the images before, or None.
        where: for the error.
    """
    n, lengths = len(values), [len(values)]
    level = 0
    values = _values(values)
    while _is_list(values.type):
        per_image = int(np.prod(lengths[1:], dtype=np.int64))
        _refuse_missing(values, per_image, row, where)
        found = _lengths(values)
        expected = shape[level] if shape else int(found[0]) if len(found) else 0
        others = np.flatnonzero(found != expected)
        if len(others) or expected == 0:
            place = int(others[0]) if len(others) else 0
            own = f"{found[place]} values where the first image has {expected}"
            own = own if expected else "no values"
            raise DataError(
                f"image {row + place // per_image} has a list of {own}",
                where=where,
                hint="give every image the same size",
            )
        lengths.append(expected)
        values = _values(values.flatten())
        level += 1
    _refuse_missing(values, len(values) // max(1, n), row, where)
    pixels: NDArray[np.uint8] = values.to_numpy(zero_copy_only=False)
    if len(pixels) != np.prod(lengths, dtype=np.int64):
        raise DataError("the lists of pixels are damaged", where=where, hint="write them again")
    return np.ndarray(tuple(lengths), dtype=np.uint8, buffer=np.ascontiguousarray(pixels))


def _refuse_missing(values: Any, per_image: int, row: int, where: str) -> None:
    """Refuse missing lists or values; `per_image` of them belong to an image.

    Raises:
        DataError: naming the row.
    """
    if not values.null_count:
        return
    missing = np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False)) // max(1, per_image)
    count = len(np.unique(missing))
    what = "is missing" if per_image == 1 else "has missing pixels"
    more = f", and {count - 1} more" if count > 1 else ""
    raise DataError(
        f"image {row + missing[0]} {what} (null){more}",
        where=where,
        hint="leave such rows out before: table.filter(pyarrow.compute.is_valid(column))",
    )


def _lengths(values: Any) -> NDArray[np.int64]:
    import pyarrow as pa

    if pa.types.is_fixed_size_list(values.type):
        return np.full(len(values), values.type.list_size, dtype=np.int64)
    return np.diff(values.offsets.to_numpy()).astype(np.int64)


def _values(values: Any) -> Any:
    """Return the plain values of an extension type, such as the arrays of Hugging Face."""
    return values.storage if hasattr(values, "storage") else values


def _stored(kind: Any) -> Any:
    return getattr(kind, "storage_type", kind)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
