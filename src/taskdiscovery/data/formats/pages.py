"""What the pages of a Parquet file declare: read before any of them is unpacked.

The footer's sizes are only a summary, which a reader never needs; memory follows from the header in
front of each page. This walks over the headers and leaves the pages alone. The format is that of
https://github.com/apache/parquet-format (PageHeader).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, Any

from taskdiscovery.data.formats.footer import Chunk
from taskdiscovery.data.formats.thrift import Compact

#: kinds of pages; encodings of texts by their lengths, and by what they share with the one before.
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3
_LENGTHS, _PREFIXES = 6, 7
#: bytes that a header is looked for in: most take 50, and statistics may make it longer.
_FIRST, _LONGEST = 2**10, 2**24


@dataclass(frozen=True, kw_only=True)
class Pages:
    """What the pages of some columns declare.

    Attributes:
        values: how many there are, of all pages of data.
        stored: bytes as compressed, of all pages.
        unpacked: bytes of all pages.
        largest: bytes of the largest page, unpacked.
        dense: bytes a value, of the page where that is most.
        longest: bytes that one value may have in pages whose values are longer than what is stored
            of each: through a dictionary, or as a prefix of the one before; 0 where none are.
        deltas: whether texts stand as lengths or prefixes, which Arrow leaves in no dictionary.
    """

    values: int = 0
    stored: int = 0
    unpacked: int = 0
    largest: int = 0
    dense: float = 0.0
    longest: int = 0
    deltas: bool = False

    def __add__(self, other: Pages) -> Pages:
        return Pages(
            values=self.values + other.values,
            stored=self.stored + other.stored,
            unpacked=self.unpacked + other.unpacked,
            largest=max(self.largest, other.largest),
            dense=max(self.dense, other.dense),
            longest=max(self.longest, other.longest),
            deltas=self.deltas or other.deltas,
        )


def pages_of(stream: IO[bytes], chunk: Chunk) -> Pages:
    """Walk over the pages of a column in a group of rows.

    Args:
        stream: of the file.
        chunk: what the footer says of the column.

    Raises:
        ValueError: where a header is damaged, or contradicts the footer.
    """
    found, at = Pages(), chunk.start
    while found.values < chunk.values:
        header, length = _header(stream, at)
        try:
            page = _page(header)
        except (LookupError, TypeError) as error:  # what it lacks
            raise ValueError("the header of a page is damaged") from error
        found += page
        at += length + page.stored
    if found.values != chunk.values:
        raise ValueError(f"pages declare {found.values:,} values, and the footer {chunk.values:,}")
    return found


def _page(header: dict[int, Any]) -> Pages:
    kind, unpacked, stored = header[1], header[2], header[3]
    if unpacked < 0 or stored < 0:
        raise ValueError("a page declares a negative size")
    sizes = {"stored": stored, "unpacked": unpacked, "largest": unpacked}
    if kind == _DICTIONARY:
        return Pages(**sizes, longest=unpacked)
    if kind not in (_DATA, _DATA_V2):
        return Pages(**sizes)
    own = header[5 if kind == _DATA else 8]
    values, encoding = own[1], own[2 if kind == _DATA else 4]
    if values < 0:
        raise ValueError("a page declares a negative number of values")
    return Pages(
        **sizes,
        values=values,
        dense=unpacked / max(1, values),
        longest=unpacked if encoding == _PREFIXES else 0,
        deltas=encoding in (_LENGTHS, _PREFIXES),
    )


def _header(stream: IO[bytes], at: int) -> tuple[dict[int, Any], int]:
    """Return the fields of the header that begins at a byte, and its length."""
    size = _FIRST
    while True:
        stream.seek(at)
        content = stream.read(size)
        try:
            found = Compact(content)
            return found.struct(), found.at
        except IndexError:
            if len(content) < size or size >= _LONGEST:
                raise ValueError("a page has no readable header") from None
            size *= 16
