"""What people have in hand as data, as a `Dataset`: paths, arrays, tensors, data sets, frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.data.arrays import from_arrays, from_torch
from taskdiscovery.data.listing import Listing, distinct, hash_text, printable
from taskdiscovery.data.table import FILES, LABELS, label_codes, stamps
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, IntArray

if TYPE_CHECKING:
    import pandas as pd

#: endings of files that say what kind of data they are.
ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "csv",
}


def spec_of_path(path: Path) -> str:
    """Return the DATA specification of a bare path.

    Raises:
        DataError: where it does not exist, or its ending says nothing.
    """
    if path.is_dir():
        shards = any(path.glob("*.parquet")) and not any(p.is_dir() for p in path.iterdir())
        return f"{'parquet' if shards else 'folder'}:{path}"
    if not path.exists():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise DataError(
            f"the ending {path.suffix!r} does not say what this is",
            where=str(path),
            hint="write KIND:PATH, e.g. parquet:, npz: or csv:",
        )
    return f"{kind}:{path}"


def from_object(
    value: Any,
    *,
    labels: Any = None,
    attributes: pd.DataFrame | None = None,
    size: int | None = None,
    name: str = "",
) -> Dataset | Listing:
    """Make a data set of an object; encoded images become a listing, still to be decoded.

    Args:
        value: an array or tensor of images, a pair (images, labels), a map-style torch data set, a
            Hugging Face data set, or a frame with a column of paths or images.
        labels: (N,) where the object has none.
        attributes: one row per image, where the object has none.
        size: resize to size x size.
        name: what to call it.

    Raises:
        DataError: for anything else, and for content that cannot be used.
    """
    if _is_hugging_face(value):
        from taskdiscovery.data.adapters import from_hugging_face_table

        return from_hugging_face_table(value, name or "hf", size)
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        return _from_frame(value, name or "frame", size)
    if isinstance(value, tuple) and len(value) == 2 and labels is None:
        value, labels = value
    if isinstance(value, Mapping):
        raise DataError(
            f"these are {len(value)} parts: {', '.join(map(str, value))[:200]}",
            where=name or type(value).__name__,
            hint="give one of them, e.g. data['train']",
        )
    if isinstance(value, list) and value and _is_picture(value[0]):
        value = _stacked([_picture(image) for image in value], name)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return from_arrays(
            channels_last(_array(value), name),
            labels,
            attributes=attributes,
            name=name or "array",
            size=size,
        )
    if hasattr(value, "__getitem__") and hasattr(value, "__len__") and not isinstance(value, list):
        return from_torch(value, name=name or "torch", size=size)
    raise DataError(
        f"data cannot be read from {type(value).__name__}",
        where=name or "data",
        hint="give a path, DATA such as folder:PATH, an array (N, H, W, channels), a torch or "
        "Hugging Face data set, or a frame with a column of files",
    )


def channels_last(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return images as (N, H, W[, channels]); those with channels in front are turned.

    Raises:
        DataError: for a table of numbers, which are features, not images.
    """
    if array.ndim == 2:
        raise DataError(
            f"an array of shape {array.shape} is no images",
            where=name or "data",
            hint="give images (N, H, W[, channels])",
        )
    front, back = (array.shape[1], array.shape[-1]) if array.ndim == 4 else (0, 0)
    if array.ndim == 4 and front in (1, 3, 4) and back not in (1, 2, 3, 4):
        return np.moveaxis(array, 1, -1)
    return array


def _array(value: Any) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def _is_hugging_face(value: Any) -> bool:
    return hasattr(value, "features") and hasattr(value, "column_names")


def _is_picture(value: Any) -> bool:
    return hasattr(value, "convert") or getattr(value, "ndim", 0) >= 2


def _picture(value: Any) -> NDArray[Any]:
    if hasattr(value, "convert"):  # a PIL image
        return np.asarray(value if value.mode == "L" else value.convert("RGB"))
    return _array(value)


def _stacked(images: Sequence[NDArray[Any]], name: str) -> NDArray[Any]:
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise DataError(
            f"images have {len(shapes)} different shapes, e.g. {sorted(shapes)[:3]}",
            where=name or "data",
            hint="resize them before, or give their files and a size",
        )
    return np.stack(images)


def _from_frame(frame: pd.DataFrame, name: str, size: int | None) -> Dataset | Listing:
    """Read a frame: a column of files or of images, a label column, attributes."""
    columns = [str(c) for c in frame.columns]
    if frame.empty:
        raise DataError("the frame has no rows", where=name, hint="give data with images")
    image = _image_column(frame, columns, name)
    label = next((c for c in LABELS if c in columns and c != image), None)
    others = [c for c in frame.columns if str(c) not in (image, label)]
    attributes = frame[others].reset_index(drop=True) if others else None
    values = frame[image].tolist()
    if not isinstance(values[0], str | Path):
        labels = None if label is None else frame[label].to_numpy()
        ids = [str(i) for i in frame.index]
        return from_arrays(
            channels_last(_stacked([_picture(v) for v in values], name), name),
            labels,
            ids=ids if len(set(ids)) == len(ids) else None,
            attributes=attributes,
            name=name,
            size=size,
        )
    paths = [Path(value).expanduser() for value in values]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} files of the frame do not exist: {', '.join(missing[:3])}",
            where=f"{name}, column {image}",
            hint="give paths that exist from the working directory, or absolute ones",
            files=missing[:20],
        )
    codes: IntArray | None = None
    classes: tuple[str, ...] = ()
    if label is not None:
        codes, classes = label_codes(frame[label], (), where=f"{name}, column {label}")

    def stream() -> Iterator[Path]:
        return iter(paths)

    return Listing(
        name=name,
        key=hash_text(stamps([str(v) for v in values], paths)),
        ids=distinct([printable(str(v)) for v in values]),
        stream=stream,
        labels=codes,
        classes=classes,
        attributes=attributes,
    )


def _image_column(frame: pd.DataFrame, columns: list[str], name: str) -> str:
    for column in FILES:
        if column in columns:
            return column
    for column in columns:
        if _is_picture(frame[column].iloc[0]):
            return column
    raise DataError(
        "the frame has no column of files or images",
        where=f"{name}: {', '.join(columns)[:200]}",
        hint=f"name a column of paths one of {', '.join(FILES)}",
    )
