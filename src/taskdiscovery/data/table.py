"""Tables of image files: a file column, a label column, and attributes."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.listing import Listing, distinct, hash_text, printable
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.types import IntArray, class_codes

if TYPE_CHECKING:
    import pandas as pd

FILES = ("file", "path", "filename", "image", "img_filename", "file_name")
LABELS = ("label", "y", "class")


def check(path: Path, name: str) -> None:
    """Refuse a table without a column of files.

    Raises:
        DataError: saying what is wrong.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream), [])
    except Exception as error:  # hostile files raise errors of every kind
        raise _unreadable(path, error) from error
    _file_column(header, path)


def read(path: Path, name: str) -> Listing:
    """List the images of a CSV table; files are relative to its folder.

    Raises:
        DataError: for an unreadable table, files that do not exist (all are listed), a label
            that is missing.
    """
    frame = read_csv(path)
    column = _file_column([str(c) for c in frame.columns], path)
    if frame.empty:
        raise DataError("the table has no rows", where=str(path), hint="give data with images")
    files = [str(value) for value in frame[column]]
    paths = [path.parent / file for file in files]
    missing = [file for file, its in zip(files, paths, strict=True) if not its.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} files of the table do not exist: {', '.join(missing[:3])}…",
            where=f"{path}, column {column}",
            hint="paths are relative to the table's own folder",
            files=missing[:20],
        )
    label = next((n for n in LABELS if n in frame.columns), None)
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    if label is not None:
        labels, classes = label_codes(frame[label], (), where=f"{path}, column {label}")
    attributes = frame.drop(columns=[c for c in (column, label) if c is not None])
    key = hash_text(stamps(files, paths))

    def stream() -> Iterator[Path]:
        return iter(paths)

    return Listing(
        name=name,
        key=key,
        ids=distinct([printable(file) for file in files]),
        stream=stream,
        labels=labels,
        classes=classes,
        attributes=attributes if len(attributes.columns) else None,
    )


def stamps(files: Sequence[str], paths: Sequence[Path]) -> Iterator[str]:
    """Yield what tells one state of each file from another: name, size, time of change."""
    for file, path in zip(files, paths, strict=True):
        stat = os.stat(path)
        yield f"{file}\1{stat.st_size}\1{stat.st_mtime_ns}"


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file.

    Raises:
        DataError: where it is missing or cannot be parsed.
    """

    import pandas as pd

    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    try:
        return pd.read_csv(path, encoding="utf-8")
    except Exception as error:  # hostile files raise errors of every kind
        raise _unreadable(path, error) from error


def label_codes(
    values: pd.Series, names: tuple[str, ...], *, where: str
) -> tuple[IntArray, tuple[str, ...]]:
    """Turn a label column into class indices.

    Args:
        values: integers that index `names`, or values of any kind that are classes themselves.
        names: class names, or empty.
        where: for the error.

    Raises:
        DataError: for missing labels, or an index without a name.
    """

    import pandas as pd

    if values.isna().any():
        raise DataError(
            f"{int(values.isna().sum())} images have no label",
            where=where,
            hint="fill the column, or rename it so that it is read as an attribute",
        )
    if names and pd.api.types.is_integer_dtype(values):
        codes = values.to_numpy(np.int64)
        if codes.min() < 0 or codes.max() >= len(names):
            raise DataError(
                f"labels reach from {codes.min()} to {codes.max()}, there are {len(names)} names",
                where=where,
                hint="correct the labels or the class names",
            )
        return codes, names
    return class_codes(where, values.tolist())


def _file_column(columns: list[str], path: Path) -> str:
    for name in FILES:
        if name in columns:
            return name
    raise DataError(
        "the table has no column of files",
        where=f"{path}: {', '.join(columns)[:200]}",
        hint=f"name the column one of {', '.join(FILES)}",
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"the table cannot be read: {first_line(error)}",
        where=str(path),
        hint="give a CSV file in UTF-8 with a header line",
    )
