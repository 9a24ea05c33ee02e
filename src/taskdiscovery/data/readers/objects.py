"""What people have in hand as data, as a `Dataset`: paths, arrays, tensors, data sets, frames."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.data.images.axes import is_picture
from taskdiscovery.data.listing import Listing, Reading
from taskdiscovery.data.readers.arrays import from_arrays, from_pictures, from_torch
from taskdiscovery.data.readers.samples import is_torch
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, Document

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
        shards = shards or any(path.glob("data/*.parquet"))  # a repository of the hub
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
    attributes: pd.DataFrame | Mapping[str, Any] | None = None,
    how: Reading,
    name: str = "",
) -> Dataset | Listing:
    """Make a data set of an object; encoded images become a listing, still to be decoded.

    Args:
        value: an array or tensor of images, a list of images, nested lists of numbers, a pair
            (images, labels), a map-style torch data set, a Hugging Face data set, or a frame with a
            column of files or images.
        labels: (N,) where the object has none.
        attributes: one row per image, where the object has none.
        how: size, fit and range.
        name: what to call it.

    Raises:
        DataError: for anything else, and for content that cannot be used.
    """
    if _is_hugging_face(value):
        from taskdiscovery.data.readers.adapters import from_hugging_face_table

        return from_hugging_face_table(value, name or "hf", how)
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        from taskdiscovery.data.readers.frames import from_frame

        return from_frame(value, name or "frame", how)
    if isinstance(value, tuple) and len(value) == 2 and labels is None:
        value, labels = value
    if isinstance(value, Mapping):
        raise DataError(
            f"these are {len(value)} parts: {', '.join(map(str, value))[:200]}",
            where=name or type(value).__name__,
            hint="give one of them, e.g. data['train']",
        )
    labels, attributes = in_order(labels), attributes_in_order(attributes)
    known: Document = {"attributes": attributes, "name": name or "array"}
    if isinstance(value, list) and value and is_picture(value[0]):
        return from_pictures(value, labels, how=how, **known)
    numbers = isinstance(value, list) and value and isinstance(value[0], list)
    if numbers or (hasattr(value, "shape") and hasattr(value, "dtype")):
        return from_arrays(value, labels, **known, **how.pixels)
    if is_torch(value) and not isinstance(value, list):
        return from_torch(value, name=name or "torch", **how.pixels)
    raise DataError(
        f"data cannot be read from {type(value).__name__}",
        where=name or "data",
        hint="give a path, DATA such as folder:PATH, an array (N, H, W, channels), a torch or "
        "Hugging Face data set, or a frame with a column of files",
    )


def in_order(column: Any) -> Any:
    """Put a Series or frame in the order of the row numbers that are its index.

    Any other index says nothing about images that have no ids: such rows stay as they are.
    """
    if not (hasattr(column, "index") and hasattr(column, "iloc")):
        return column
    places = {str(value): i for i, value in enumerate(column.index)}
    rows = [places.get(str(i)) for i in range(len(column))]
    return column if None in rows else column.iloc[rows]


def attributes_in_order(attributes: Any) -> Any:
    """Return a frame, or a mapping from names to columns, as a frame in the order of the rows."""
    if isinstance(attributes, Mapping):
        import pandas as pd

        attributes = pd.DataFrame(attributes)
    return in_order(attributes)


def _is_hugging_face(value: Any) -> bool:
    return hasattr(value, "features") and hasattr(value, "column_names")
