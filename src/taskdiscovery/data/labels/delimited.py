"""CSV in the forms that people write it: any of four separators, spaces, quotes, a byte-order mark.

Everything is read as text first; what a column holds is decided column by column.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.data.labels.rows import UNNAMED, is_id_column
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.budget import Budget, check_columns
from taskdiscovery.types.classes import NO_VALUE, all_numbers, is_number

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
#: lines that tell how a table is written, in so many letters at the beginning of the file.
_LINES, _BEGINNING = 100, 2**22
#: bytes of memory: of a byte of the file, a cell, and a row, of whose values one column at a time
#: is looked at by itself.
_OF_BYTE, _OF_CELL, _OF_ROW = 2, 20, 100
_BLOCK = 2**20
#: numbers that lose nothing when they are read as such: not 007, which is a text.
_PLAIN = re.compile(r"[+-]?(0|[1-9]\d*|(?=\.\d))(\.\d*)?([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, kw_only=True)
class Form:
    """How a table is written.

    Attributes:
        separator: between cells.
        header: names of the columns, one for each.
        spaces: whether a space follows each separator.
        unnamed: whether rows have a cell more than the header: the first, which has no name.
    """

    separator: str
    header: tuple[str, ...]
    spaces: bool
    unnamed: bool


def form_of(path: Path) -> Form:
    """Find how a table is written, by its header and first lines.

    Raises:
        DataError: where it is missing, no text in UTF-8, or its first line is too long.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            beginning = stream.read(_BEGINNING)
        lines = list(islice(io.StringIO(beginning, newline=""), _LINES))
        tried = [(separator, _records(lines, separator)) for separator in SEPARATORS]
        even = [(s, rows) for s, rows in tried if rows and len(rows[0]) > 1 and _even(rows)]
        wide = [(s, rows) for s, rows in tried if rows and len(rows[0]) > 1]
        found = max(even or wide or tried[:1], key=lambda pair: len(pair[1][0]) if pair[1] else 0)
        separator, rows = found
        raw = _records(lines, separator, spaces=False)
    except Exception as error:  # hostile files raise errors of every kind
        raise unreadable(path, error) from error
    header = tuple(name.strip() for name in rows[0]) if rows else ()
    check_columns(len(header), str(path))
    if len(lines) == 1 and len(beginning) == _BEGINNING:
        raise DataError(
            "the first line is no header: it is too long",
            where=str(path),
            hint="give CSV with a header line",
        )
    return Form(
        separator=separator,
        header=header,
        spaces=_spaced(raw[:1]) or (len(raw) > 3 and _spaced(raw[1:])),
        unnamed={len(row) for row in rows[1:-1] or rows[1:]} == {len(header) + 1},
    )


def read_csv(path: Path, missing: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV file: columns of plain numbers as numbers, ids and all others as texts.

    Args:
        path: of the file.
        missing: texts that stand for a missing value, but in columns of ids.

    Raises:
        DataError: where it is missing, would take too much memory, or cannot be parsed.
    """
    import pandas as pd

    form = form_of(path)
    _check_size(path, form.separator)
    options: Any = {"names": [UNNAMED, *form.header], "header": 0} if form.unnamed else {}
    try:
        frame = pd.read_csv(
            path,
            sep=form.separator,
            skipinitialspace=form.spaces,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
            encoding="utf-8-sig",
            **options,
        )
        names = [str(column).strip() for column in frame.columns]
        columns = {
            i: frame.iloc[:, i]
            if is_id_column(name) or name == UNNAMED
            else typed(frame.iloc[:, i], missing)
            for i, name in enumerate(names)
        }
        frame = pd.DataFrame(columns, index=frame.index)
        frame.columns = pd.Index(names)
    except Exception as error:  # hostile files raise errors of every kind
        raise unreadable(path, error) from error
    return frame


def _check_size(path: Path, separator: str) -> None:
    """Refuse a table whose cells would take too much memory, before any of it is parsed.

    Raises:
        DataError: saying how much.
    """
    budget, size = Budget.of_file(path), path.stat().st_size
    budget.take(_OF_BYTE * size, f"a table of {size:,} bytes")
    cells = rows = 0
    with path.open("rb") as stream:
        for block in iter(partial(stream.read, _BLOCK), b""):
            lines = max(block.count(b"\n"), block.count(b"\r"))
            rows, cells = rows + lines, cells + lines + block.count(separator.encode())
    budget.take(_OF_CELL * cells + _OF_ROW * rows, f"a table of {cells:,} cells")


def typed(column: pd.Series, missing: Collection[str] = ()) -> pd.Series:
    """Return a column of texts as numbers or truth values, where all of it is plainly such.

    Among numbers, texts such as NA or nan are missing values; numbers with zeros in front, and
    those of more digits than a number keeps, stay texts.
    """
    import pandas as pd

    if missing:
        column = column.mask(column.isin(list(missing)))
    cells = [str(cell) for cell in column.dropna().unique()]
    numbers = [cell for cell in cells if cell not in NO_VALUE]
    if all_numbers(numbers):
        column = column.mask(column.isin(list(NO_VALUE)))
        return pd.to_numeric(column) if _keeps(numbers, bool(column.isna().any())) else column
    if cells and {cell.lower() for cell in cells} <= {"true", "false"}:
        truth = column.str.lower().map({"true": True, "false": False})
        return truth.astype(bool) if column.notna().all() else truth.astype(object)
    return column


def unreadable(path: Path, error: Exception) -> DataError:
    """Say why a table cannot be read, and the line where it is no UTF-8."""
    what = f"the table cannot be read: {first_line(error)}"
    if isinstance(error, UnicodeDecodeError):
        what = f"the table is not in UTF-8: {_not_utf8(path)}"
    return DataError(what, where=str(path), hint="give a CSV file in UTF-8 with a header line")


def _not_utf8(path: Path) -> str:
    """Name the first byte that is not UTF-8, and its line."""
    decoder, line = codecs.getincrementaldecoder("utf-8")(), 1
    with path.open("rb") as stream:
        for block in iter(partial(stream.read, _BLOCK), b""):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as found:
                known = found.object[: found.start]
                return f"byte 0x{found.object[found.start]:02x} in line {line + known.count(10)}"
            line += block.count(b"\n")
    return f"its last character, in line {line}, is cut"


def _records(lines: list[str], separator: str, *, spaces: bool = True) -> list[list[str]]:
    found = csv.reader(lines, delimiter=separator, skipinitialspace=spaces)
    try:
        return [row for row in found if row]
    except csv.Error:
        return []


def _even(rows: list[list[str]]) -> bool:
    """Say whether all rows have as many cells as the header, or all one more."""
    counts = {len(row) for row in rows[1:-1] or rows[1:]}  # the last line may be cut
    return not counts or counts in ({len(rows[0])}, {len(rows[0]) + 1})


def _spaced(rows: list[list[str]]) -> bool:
    return all(len(row) > 1 and all(cell[:1] == " " for cell in row[1:]) for row in rows)


def _keeps(numbers: list[str], gaps: bool) -> bool:
    """Say whether texts can be read as numbers and lose nothing."""
    if not all(_PLAIN.fullmatch(n) or (is_number(n) and "inf" in n.lower()) for n in numbers):
        return False
    most = 2**53 if gaps or not all(_WHOLE.fullmatch(n) for n in numbers) else 2**63
    return all(abs(int(n)) < most for n in numbers if _WHOLE.fullmatch(n))
