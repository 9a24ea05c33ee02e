"""Thrift's compact protocol, in which Parquet writes what it says of itself."""

from __future__ import annotations

from typing import Any

_DEEPEST = 64
#: values at most: a small file may declare billions of empty ones.
_MOST = 4_000_000


class Compact:
    """Structs in Thrift's compact protocol, as dictionaries by the numbers of their fields.

    Args:
        content: that begins with a struct.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.at, self._count = content, 0, 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """Return the fields of a struct by their numbers.

        Raises:
            IndexError: where the content ends before.
            ValueError: where it is damaged.
        """
        if depth > _DEEPEST:
            raise ValueError("it is nested too deeply")
        fields: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._zigzag()
            kind &= 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        """Return a number, text, list or struct; of fractions and maps nothing."""
        self._count += 1
        if self._count > _MOST:
            raise ValueError(f"it holds more than {_MOST:,} values")
        if kind in (4, 5, 6):
            return self._zigzag()
        if kind == 8:
            return self._bytes(self._varint())
        if kind == 12:
            return self.struct(depth + 1)
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind in (1, 2, 3, 7):  # in a list, truth values are bytes of their own
            self._bytes(8 if kind == 7 else 1)
            return None
        raise ValueError("it holds a value of an unknown kind")

    def _byte(self) -> int:
        self.at += 1
        return self.content[self.at - 1]

    def _bytes(self, count: int) -> bytes:
        self.at += count
        if self.at > len(self.content):
            raise IndexError
        return self.content[self.at - count : self.at]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise ValueError("it holds a number that does not end")
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)
