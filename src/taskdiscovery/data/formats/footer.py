"""The footer of a Parquet file: which columns there are, and where their pages begin.

pyarrow reads it, too, but asked about a column of some damaged ones it ends the process. The format
is that of https://github.com/apache/parquet-format (FileMetaData).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from taskdiscovery.data.formats.thrift import Compact

_MAGIC = b"PAR1"
#: bytes of a value by the number of its physical type: truth, 32, 64 and 96 bits, two kinds of
#: floats; bytes of any length have none, those of one length say it.
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 0}
_REPEATED = 2


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A column of plain values.

    Attributes:
        path: names from the top.
        width: bytes of a value; 0 where they vary.
        lists: whether a row may hold many values.
    """

    path: tuple[str, ...]
    width: int
    lists: bool


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A leaf in a group of rows.

    Attributes:
        values: how many it declares.
        start: byte at which its first page begins.
        stored: bytes of its pages, as compressed.
        nulls: how many values are missing; None where that is not said.
    """

    values: int
    start: int
    stored: int
    nulls: int | None


@dataclass(frozen=True, kw_only=True)
class Footer:
    """What a file declares.

    Attributes:
        rows: of all groups.
        leaves: its columns.
        groups: rows of each group, and its chunks in the order of the leaves.
    """

    rows: int
    leaves: tuple[Leaf, ...]
    groups: tuple[tuple[int, tuple[Chunk, ...]], ...]


def footer_of(stream: IO[bytes]) -> Footer:
    """Read the footer of a file.

    Raises:
        ValueError: where there is none, or it is damaged.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    end = stream.read()
    length = int.from_bytes(end[:4], "little")
    if end[4:] != _MAGIC or length > size - 8:
        raise ValueError("it has no footer")
    stream.seek(size - 8 - length)
    try:
        fields = Compact(stream.read(length)).struct()
        rows, leaves = fields[3], tuple(_leaves(iter(fields[2])))
        groups = tuple((group[3], tuple(map(_chunk, group[1]))) for group in fields[4])
    except (LookupError, TypeError, AttributeError, RuntimeError) as error:  # what it lacks
        raise ValueError("its footer is damaged") from error
    if any(len(chunks) != len(leaves) for _, chunks in groups):
        raise ValueError("a group of rows lacks columns")
    return Footer(rows=rows, leaves=leaves, groups=groups)


def _chunk(fields: dict[int, Any]) -> Chunk:
    meta = fields[3]
    starts = [start for start in (meta[9], meta.get(11)) if start is not None and start > 0]
    return Chunk(
        values=meta[5],
        start=min(starts, default=0),
        stored=meta[7],
        nulls=meta.get(12, {}).get(3),
    )


def _leaves(elements: Iterator[dict[int, Any]]) -> Iterator[Leaf]:
    """Yield the leaves of a schema, which is written from the top, each with its children."""
    for _ in range(next(elements)[5]):
        yield from _below(elements, (), False)


def _below(
    elements: Iterator[dict[int, Any]], above: tuple[str, ...], lists: bool
) -> Iterator[Leaf]:
    own = next(elements)
    path = (*above, own[4].decode("utf-8", "surrogateescape"))
    lists = lists or own.get(3) == _REPEATED
    if children := own.get(5):
        for _ in range(children):
            yield from _below(elements, path, lists)
    else:
        yield Leaf(path=path, width=_WIDTHS.get(own[1], own.get(2, 0)), lists=lists)
