"""Frames: a column of files, of encoded images or of pictures, a label column, and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.data.images.axes import is_picture
from taskdiscovery.data.labels.cells import is_cell, key_of, source_of
from taskdiscovery.data.labels.columns import columns_of
from taskdiscovery.data.listing import Listing, Reading, Source, distinct, printable
from taskdiscovery.data.readers.arrays import from_pictures
from taskdiscovery.data.readers.table import FILES, LABELS
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, Document

if TYPE_CHECKING:
    import pandas as pd


def from_frame(frame: pd.DataFrame, name: str, how: Reading) -> Dataset | Listing:
    """Read a frame.

    Args:
        frame: a row an image.
        name: what to call it.
        how: size, fit and range.

    Returns:
        A listing of files and encoded images; or the data set itself, where they are decoded.

    Raises:
        DataError: for no rows, no column of images, files that do not exist.
    """
    if frame.empty:
        raise DataError("the frame has no rows", where=name, hint="give data with images")
    image = _image_column(frame, name)
    label = next((c for c in LABELS if c in frame.columns and c != image), None)
    others = frame.drop(columns=[image]).reset_index(drop=True)
    found = columns_of(others, label, where=name)
    values: list[Any] = frame[image].tolist()
    index = [str(i) for i in frame.index]
    ids = index if len(set(index)) == len(index) else [str(row) for row in range(len(index))]
    if not any(is_cell(value) for value in values):
        known: Document = {"ids": ids, "classes": found.classes, "attributes": found.attributes}
        return from_pictures(values, found.labels, how=how, name=name, **known)
    sources = [source_of(value) if is_cell(value) else None for value in values]
    paths = [source for source in sources if isinstance(source, Path)]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} files of the frame do not exist: {', '.join(missing[:3])}",
            where=f"{name}, column {image}",
            hint="give paths that exist from the working directory, or absolute ones",
            files=missing[:20],
        )
    if any(isinstance(value, str | Path) for value in values):
        ids = distinct([printable(str(value)) for value in values])

    def stream() -> Iterator[Source]:
        return iter(sources)

    return Listing(
        name=name,
        key=key_of(sources),
        ids=ids,
        stream=stream,
        labels=found.labels,
        classes=found.classes,
        attributes=found.attributes,
        problems=found.problems,
    )


def _image_column(frame: pd.DataFrame, name: str) -> Any:
    known = {str(column).strip().lower(): column for column in reversed(frame.columns)}
    for column in FILES:
        if column in known:
            return known[column]
    for column in frame.columns:
        value = frame[column].iloc[0]
        if is_picture(value) or (is_cell(value) and not isinstance(value, str)):
            return column
    raise DataError(
        "the frame has no column of files or images",
        where=f"{name}: {', '.join(map(str, frame.columns))[:200]}",
        hint=f"name a column of paths one of {', '.join(FILES)}",
    )
