"""The work of a pass over a listing: its images in blocks, by threads, in their order."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from taskdiscovery.data.listing import Listing, Reading, Source
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.budget import Gate, room
from taskdiscovery.runtime.progress import Meter

#: images that a thread takes at once, blocks that wait, and bytes that they hold.
_BLOCK, _WAITING, _BYTES = 64, 8, 2**28
#: bytes that all threads may hold at once, if so much is free; and the share of what a reader may
#: take where that is more.
_DECODED, _SHARE = 2**30, 0.25
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, eq=False, kw_only=True)
class Work:
    """What is decoded, how, where to, and by whom.

    Attributes:
        listing: the images.
        how: as asked for.
        place: the folder that is being built.
        pool: threads.
        bar: told of progress; there are two steps an image.
        gate: that threads take memory from.
    """

    listing: Listing
    how: Reading
    place: Path
    pool: ThreadPoolExecutor
    bar: Meter
    gate: Gate = field(default_factory=lambda: Gate(max(_DECODED, int(_SHARE * room()))))


def over(
    pool: ThreadPoolExecutor,
    items: Iterator[T],
    job: Callable[[tuple[T, ...]], R],
    source: Callable[[T], Source],
) -> Iterator[R]:
    """Yield what a job makes of each block of items, in their order, with few blocks waiting.

    Args:
        pool: threads.
        items: images, or what holds them.
        job: on a block.
        source: gives the image of an item: bytes that wait are memory.
    """
    pending: deque[tuple[Future[R], int]] = deque()
    waiting = 0
    for block, size in _blocks(items, source):
        pending.append((pool.submit(job, block), size))
        waiting += size
        while len(pending) > _WAITING or (waiting > _BYTES and len(pending) > 1):
            done, size = pending.popleft()
            waiting -= size
            yield done.result()
    while pending:
        yield pending.popleft()[0].result()


def _blocks(
    items: Iterator[T], source: Callable[[T], Source]
) -> Iterator[tuple[tuple[T, ...], int]]:
    """Yield items in blocks, fewer where they are large; and the bytes of each block."""
    block: list[T] = []
    size = 0
    for item in items:
        block.append(item)
        content = source(item)
        size += len(content) if isinstance(content, bytes) else 0
        if len(block) == _BLOCK or size > _BYTES // _WAITING:
            yield tuple(block), size
            block, size = [], 0
    if block:
        yield tuple(block), size


def stream_of(listing: Listing) -> Iterator[Source]:
    """Yield the images of a listing.

    Raises:
        DataError: where reading stops.
    """
    try:
        yield from listing.stream()
    except DataError:
        raise
    except Exception as error:  # a damaged row group shows only when it is read
        raise DataError(
            f"reading stopped: {first_line(error)}",
            where=listing.name,
            hint="check that the file is complete",
        ) from error


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore what Pillow says of odd metadata: what cannot be read is reported by its file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
