"""How much memory a reader may take for what a file declares, before any of it is allocated.

The rule, for every format: what is held of a file at once is at most `EXPANSION` times its size on
disk (but always `SMALL`, for small files compress well), and at most `SHARE` of the memory that is
free. A file that declares more is refused, whatever it really holds.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from taskdiscovery.errors import DataError
from taskdiscovery.runtime.hardware import free_memory

#: bytes in memory for a byte on disk; pictures of one colour and sorted columns reach 100.
EXPANSION = 200
#: bytes that any file may take, however small it is.
SMALL = 2**29
#: columns of a table at most: each costs a fraction of a millisecond, whatever it holds.
COLUMNS = 10_000
#: of free memory: the rest is for what is made of the data, and for others.
SHARE = 0.5
#: more bytes than there are: of a gate, all that it has.
ALL = 2**62
#: what is taken for free where the system does not say.
_FREE = 2**32


def room() -> int:
    """Return the bytes that a reader may take now: a share of what is free to this process."""
    return int(SHARE * min(free_memory(_FREE), _below_limit()))


def check_columns(count: int, where: str) -> None:
    """Refuse a table of too many columns.

    Raises:
        DataError: counting them.
    """
    if count > COLUMNS:
        raise DataError(
            f"the table has {count:,} columns",
            where=where,
            hint=f"give at most {COLUMNS:,}; images are rows",
        )


def _below_limit() -> int:
    """Return the bytes left below the limit of address space, where the process has one."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            return ALL
        mapped = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        return max(0, limit - mapped * os.sysconf("SC_PAGE_SIZE"))
    except (ImportError, OSError, ValueError):  # no POSIX, or no Linux
        return ALL


@dataclass(eq=False)
class Budget:
    """Bytes that may still be taken.

    Attributes:
        total: bytes that there are.
        where: the file, for the error.
        left: bytes that are not taken.
    """

    total: int
    where: str
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = self.total

    @classmethod
    def of(cls, size: int, where: str, least: int = SMALL) -> Budget:
        """Return the budget of content.

        Args:
            size: bytes of it, as it is stored.
            where: the file, for the error.
            least: bytes that it may take however small it is, if so much is free.
        """
        return cls(min(room(), max(least, EXPANSION * size)), where)

    @classmethod
    def of_file(cls, path: Path) -> Budget:
        """Return the budget of a file."""
        return cls.of(path.stat().st_size, str(path))

    @property
    def taken(self) -> int:
        """Bytes that are taken."""
        return self.total - self.left

    def part(self, share: float) -> Budget:
        """Return a budget of at most a share of this one, and of what is left of it."""
        return Budget(min(self.left, int(share * self.total)), self.where)

    def check(self, size: int, what: str) -> None:
        """Refuse what is larger than what is left.

        Args:
            size: bytes that it takes.
            what: for the error, e.g. `column caption`.

        Raises:
            DataError: where there is not so much left.
        """
        if size > self.left:
            raise DataError(
                f"{what} declares {_amount(size)}, and may take {_amount(self.left)} of memory",
                where=self.where,
                hint="it may be a decompression bomb; if it is not, write it in smaller parts, "
                "leave out what is not needed, or free memory",
            )

    def take(self, size: int, what: str) -> None:
        """Take bytes, before they are allocated.

        Raises:
            DataError: as `check`.
        """
        self.check(size, what)
        self.left -= size

    def give(self, size: int) -> None:
        """Give back bytes that are free again."""
        self.left = min(self.total, self.left + size)


class Gate:
    """Keeps threads from holding more memory together than there is room for.

    One waits for others where there is too little for all; what is larger than all of it is held
    alone.
    """

    def __init__(self, total: int) -> None:
        self.total, self._held, self._changed = total, 0, threading.Condition()

    @contextlib.contextmanager
    def entered(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes, to be called once; they are held until the block ends.

        It may wait for other threads.
        """
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            size = min(size, self.total)
            with self._changed:
                self._changed.wait_for(lambda: self._held + size <= self.total)
                self._held += size
                mine = size

        try:
            yield hold
        finally:
            if mine:
                with self._changed:
                    self._held -= mine
                    self._changed.notify_all()


def _amount(size: int) -> str:
    """Write bytes as people do."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:,} bytes"
