"""Parquet under a budget of memory: what is read, how many rows at once, and when to stop.

A file of a few kilobytes may declare gigabytes in many ways: pages that unpack to a thousand times
their size, one long text in a dictionary that all rows refer to, texts that repeat the beginning of
the one before, lists of billions of zeros. So pages are asked for what they declare before they are
unpacked; columns come one by one, in batches that hold few rows where rows are large; texts stay in
their dictionary until it is known how long all of them are; and whatever is kept is counted first.
"""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.formats.footer import Footer, Leaf, footer_of
from taskdiscovery.data.formats.pages import Pages, pages_of
from taskdiscovery.errors import DataError, first_line, nearest
from taskdiscovery.runtime.budget import Budget, check_columns

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger("taskdiscovery")

#: bytes of a batch; rows of it, at most, of columns that are kept.
_BATCH, _ROWS = 2**25, 2**16
#: bytes that are read of a file at once.
_BUFFER = 2**18
#: bytes above which it is asked whether a file has holes: hashing those would not end.
_SPARSE = 2**30
#: values that Arrow makes room for at least.
_LEAST = 1024
#: bytes of what says how deep a value stands in lists.
_LEVELS = 4
#: bytes of a number, of a text beside its letters, and of an object of Python's, which values
#: become that NumPy has no type for.
_NUMBER, _TEXT, _OBJECT = 8, 12, 100
#: what is kept exists twice for a moment, for Arrow and for pandas; a column that can be done
#: without takes at most this share of the budget.
_TWICE, _SHARE = 2, 0.5


@dataclass(frozen=True, kw_only=True)
class Group:
    """What a column declares in a group of rows.

    Attributes:
        number: of the group.
        rows: of the group.
        pages: of all its leaves; `longest` is the width of values where that is fixed.
        width: bytes of a value, of the leaf where that is fixed and most.
        lists: whether a row may hold many values.
    """

    number: int
    rows: int
    pages: Pages
    width: int
    lists: bool

    def check(self, column: str, budget: Budget, *, coded: bool) -> None:
        """Refuse a column that cannot be read within a budget, even in the smallest batches.

        Raises:
            DataError: naming it.
        """
        budget.check(_TWICE * self.pages.largest, f"a page of column {column}")
        # Arrow makes room for so many values of one width, however few are asked for.
        budget.check(_LEAST * self.width, f"column {column}")
        if self.lists:  # one row may hold all values
            budget.check(
                int(self.pages.values * self._bytes(coded)), f"a group of rows of column {column}"
            )

    def batch(self, most: int, *, coded: bool) -> int:
        """Return how many rows make a batch, where texts stay in a dictionary (`coded`) or not."""
        row = self._bytes(coded) * self.pages.values / max(1, self.rows)
        return int(min(most, max(1, _BATCH // max(1, row))))

    def _bytes(self, coded: bool) -> float:
        """Bytes that a value takes in a batch, at most."""
        return _LEVELS + self.pages.dense + (0 if coded else self.pages.longest)


@dataclass(frozen=True, eq=False, kw_only=True)
class Columnar:
    """A Parquet file that is open, of which only the footer has been read.

    Attributes:
        source: where it is, or its content.
        where: what to call it in errors.
        file: as pyarrow opens it.
        footer: what it declares.
    """

    source: Path | bytes
    where: str
    file: Any
    footer: Footer

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @property
    def schema(self) -> Any:
        """The columns, with the types of Arrow."""
        return self.file.schema_arrow

    @property
    def rows(self) -> int:
        """How many rows the footer declares."""
        return self.footer.rows

    @cached_property
    def coded(self) -> Any:
        """The file once more, with plain columns of texts left in their dictionaries."""
        return _parquet(self.source, [f.name for f in self.schema if _is_text(f.type)])

    @cached_property
    def kinds(self) -> dict[str, Any]:
        """The columns by name, with the types of Arrow; of several of one name, the first."""
        return {field.name: field for field in reversed(self.schema)}

    def groups(self, column: str) -> list[Group]:
        """Return what a column declares.

        Raises:
            ValueError: where its pages contradict the footer.
        """
        leaves = self._leaves[column]
        found = []
        with _stream(self.source) as stream:
            for number, (rows, chunks) in enumerate(self.footer.groups):
                pages = Pages()
                for i, leaf in leaves:
                    own = pages_of(stream, chunks[i])
                    if leaf.width:
                        own = replace(own, longest=leaf.width, deltas=False)
                    pages += own
                found.append(
                    Group(
                        number=number,
                        rows=rows,
                        pages=pages,
                        width=max(leaf.width for _, leaf in leaves),
                        lists=any(leaf.lists for _, leaf in leaves),
                    )
                )
        return found

    def may_lack(self, *path: str) -> bool:
        """Say whether values of a leaf may be missing, as far as the footer says."""
        places = [i for i, leaf in enumerate(self.footer.leaves) if leaf.path == path]
        return any(chunks[i].nulls != 0 for _, chunks in self.footer.groups for i in places)

    @cached_property
    def _leaves(self) -> dict[str, list[tuple[int, Leaf]]]:
        """The leaves that are read with a column, and which they are.

        pyarrow reads `a.b` with `a`, be it a part of it or a column of that name.
        """
        found: dict[str, list[tuple[int, Leaf]]] = {}
        for i, leaf in enumerate(self.footer.leaves):
            parts = ".".join(leaf.path).split(".")
            for depth in range(1, len(parts) + 1):
                found.setdefault(".".join(parts[:depth]), []).append((i, leaf))
        return found

    def batches(
        self, column: str, budget: Budget, most: int, *, coded: bool = False
    ) -> Iterator[Any]:
        """Yield the values of a column, few rows at once where rows are large.

        Args:
            column: its name; of several of one name, the first.
            budget: of which a batch takes a part, while it is read.
            most: rows of a batch.
            coded: leave plain texts in their dictionary.

        Raises:
            DataError: where even a row takes too much.
            Exception: of many kinds, for damaged files.
        """
        for group in self.groups(column):
            own = coded and not group.pages.deltas
            group.check(column, budget, coded=own)
            for batch in (self.coded if own else self.file).iter_batches(
                batch_size=group.batch(most, coded=own),
                row_groups=[group.number],
                columns=[column],
                use_threads=False,  # there is one column
            ):
                yield batch.column(batch.schema.names.index(column))


def opened(source: Path | bytes, where: str) -> Columnar:
    """Open a Parquet file; only its footer is read.

    Args:
        source: a regular file, or its content.
        where: what to call it in errors.

    Raises:
        DataError: where it is none.
    """
    if isinstance(source, Path) and not source.is_file():
        raise DataError("there is no such file", where=where, hint="check the path")
    try:
        arrow = _parquet(source, [])
        with _stream(source) as stream:
            footer = footer_of(stream)
        file = Columnar(source=source, where=where, file=arrow, footer=footer)
        stored = sum(chunk.stored for _, chunks in footer.groups for chunk in chunks)
        if file.size > max(_SPARSE, 2 * stored):
            raise ValueError("its footer speaks of less than half of the file")
    except Exception as error:  # hostile files raise errors of every kind
        raise damaged(where, error) from error
    check_columns(len(file.schema), where)
    return file


def damaged(where: str, error: Exception) -> DataError:
    """Say that a file cannot be read, and why."""
    return DataError(
        f"this is not a readable Parquet file: {first_line(error)}",
        where=where,
        hint="check that the download is complete",
    )


def read_columns(
    file: Columnar, columns: Sequence[str], budget: Budget, needed: Container[str] = ()
) -> tuple[Any, list[str]]:
    """Read columns, and leave out those of texts, bytes or lists that would take too much.

    Args:
        file: that is open.
        columns: which ones, in the order of the file; of several of one name, the first.
        budget: that they take their bytes from, as Arrow's and as those of a frame.
        needed: columns that must be there; so must those of numbers.

    Returns:
        A table of Arrow's; and the columns that were left out.

    Raises:
        DataError: where a column that is needed takes too much, or there are too many rows.
        Exception: of many kinds, for damaged files.
    """
    import pyarrow as pa

    kept: dict[str, Any] = {}
    left_out: list[str] = []
    for column in dict.fromkeys(columns):
        kind = file.kinds[column].type
        if column in needed or _width(kind) == _NUMBER:
            kept[column] = _kept(file, column, kind, budget)
            continue
        own = budget.part(_SHARE)
        try:
            kept[column] = _kept(file, column, kind, own)
        except DataError:
            left_out.append(column)
        else:
            budget.take(own.taken, f"column {column}")
    fields = [file.kinds[column] for column in kept]
    table = pa.Table.from_arrays(
        list(kept.values()), schema=pa.schema(fields, metadata=file.schema.metadata)
    )
    return table, left_out


def tell_left_out(columns: Sequence[str], where: str) -> tuple[str, ...]:
    """Warn of columns that were left out, and return the problem; nothing where none were."""
    if not columns:
        return ()
    names = ", ".join(columns[:3]) + (f" and {len(columns) - 3} more" if len(columns) > 3 else "")
    each = "column is" if len(columns) == 1 else "columns are"
    problem = f"{len(columns)} {each} too large to be read and left out: {names}"
    _LOG.warning("%s: %s", where, problem)
    return (problem,)


def table_from_bytes(
    content: bytes, where: str, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read a table of ours from the bytes of a Parquet file, under a budget of memory.

    Args:
        content: of the file.
        where: what to call it in errors.
        columns: which ones; by default all.

    Raises:
        DataError: where it is damaged, lacks a column, or declares or turns out to hold too much.
    """
    file = opened(content, where)
    budget = Budget.of(len(content), where)
    try:
        wanted = file.schema.names if columns is None else columns
        for column in wanted:
            if column not in file.kinds:
                raise DataError(
                    f"there is no column {column!r}", where=where, hint=nearest(column, file.kinds)
                )
        return read_columns(file, wanted, budget, needed=set(wanted))[0].to_pandas()
    except DataError:
        raise
    except Exception as error:  # hostile files raise errors of every kind
        raise damaged(where, error) from error


def _kept(file: Columnar, column: str, kind: Any, budget: Budget) -> Any:
    """Return all values of a column, which are counted before they are unfolded.

    Raises:
        DataError: where they take too much.
    """
    import pyarrow as pa

    budget.take(_TWICE * file.rows * _width(kind), f"column {column}, of {file.rows:,} rows,")
    parts = []
    for batch in file.batches(column, budget, _ROWS, coded=_is_text(kind) or _is_coded(kind)):
        if _is_coded(batch.type):
            budget.take(_TWICE * _unfolded(batch), f"column {column}")
            batch = batch if _is_coded(kind) else batch.dictionary_decode().cast(kind)
        else:
            more = batch.nbytes - len(batch) * _width(kind)
            budget.take(_TWICE * max(0, more), f"column {column}")
        parts.append(batch)
    return pa.chunked_array(parts, type=kind)


def _unfolded(values: Any) -> int:
    """Return the bytes of texts that stand in a dictionary, once each row has its own."""
    import pyarrow.compute as pc

    lengths = np.append(pc.binary_length(values.dictionary).fill_null(0).to_numpy(), 0)
    codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return int(lengths.astype(np.int64)[codes].sum())


def _width(kind: Any) -> int:
    """Return the bytes that a value takes at least, in Arrow or in pandas."""
    import pyarrow as pa

    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null)
    times = (pa.types.is_timestamp, pa.types.is_duration)
    if any(is_kind(kind) for is_kind in (*numbers, *times)):
        return _NUMBER
    return _TEXT if _is_text(kind) or _is_coded(kind) else _OBJECT


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    known = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary)
    return any(is_kind(kind) for is_kind in (*known, pa.types.is_large_binary))


def _is_coded(kind: Any) -> bool:
    """Say whether values are texts that stand in a dictionary."""
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind)) and _is_text(kind.value_type)


def _for_arrow(path: Path) -> str | IO[bytes]:
    """Return what Arrow opens: it takes names in UTF-8 alone, whatever this process takes."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return path.open("rb")


def _stream(source: Path | bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _parquet(source: Path | bytes, texts: list[str]) -> Any:
    import pyarrow.parquet as pq

    # Without a buffer a column of a whole group of rows, and buffered ahead all groups of a file,
    # would be in memory at once.
    return pq.ParquetFile(
        io.BytesIO(source) if isinstance(source, bytes) else _for_arrow(source),
        pre_buffer=False,
        buffer_size=_BUFFER,
        read_dictionary=texts,
    )
