"""Tables of image files: a file column, a label column, and attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from taskdiscovery.config.specs import Spec
from taskdiscovery.data.labels.columns import columns_of
from taskdiscovery.data.labels.delimited import form_of, read_csv
from taskdiscovery.data.listing import Listing, Reading, distinct, hash_text, printable, stamps
from taskdiscovery.errors import DataError

FILES = ("file", "path", "filename", "image", "img_filename", "file_name")
LABELS = ("label", "y", "class")


def check(path: Path, spec: Spec) -> None:
    """Refuse a table without a column of files.

    Raises:
        DataError: saying what is wrong.
    """
    file_column(form_of(path).header, str(path))


def read(path: Path, spec: Spec, how: Reading) -> Listing:
    """List the images of a CSV table; files are relative to its folder.

    Raises:
        DataError: for an unreadable table, or files that do not exist (all are listed).
    """
    frame = read_csv(path, how.missing)
    column = file_column([str(c) for c in frame.columns], str(path))
    if frame.empty:
        raise DataError("the table has no rows", where=str(path), hint="give data with images")
    files = [str(value) for value in frame[column].fillna("")]
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
    found = columns_of(frame.drop(columns=[column]), label, where=str(path))
    key = hash_text(stamps(files, paths))

    def stream() -> Iterator[Path]:
        return iter(paths)

    return Listing(
        name=spec.text,
        key=key,
        ids=distinct([printable(file) for file in files]),
        stream=stream,
        labels=found.labels,
        classes=found.classes,
        attributes=found.attributes,
        problems=found.problems,
    )


def file_column(columns: Sequence[str], where: str) -> str:
    """Return the column that names files, whatever its case.

    Raises:
        DataError: where there is none.
    """
    known = {column.strip().lower(): column for column in reversed(columns)}
    for name in FILES:
        if name in known:
            return known[name]
    raise DataError(
        "the table has no column of files",
        where=f"{where}: {', '.join(columns)[:200]}",
        hint=f"name the column one of {', '.join(FILES)}",
    )
