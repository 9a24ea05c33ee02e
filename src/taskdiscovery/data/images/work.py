"""The work of a pass over a listing: its images in blocks, by threads, in their order."""

from __future__ import annotations

import itertools
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from taskdiscovery.data.listing import Listing, Reading, Source
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.progress import Meter

#: images that a thread takes at once, and blocks that wait.
_BLOCK, _WAITING = 64, 8
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
    """

    listing: Listing
    how: Reading
    place: Path
    pool: ThreadPoolExecutor
    bar: Meter


def over(
    pool: ThreadPoolExecutor, items: Iterator[T], job: Callable[[tuple[T, ...]], R]
) -> Iterator[R]:
    """Yield what a job makes of each block of items, in their order, with few blocks waiting."""
    pending: deque[Future[R]] = deque()
    while block := tuple(itertools.islice(items, _BLOCK)):
        pending.append(pool.submit(job, block))
        if len(pending) > _WAITING:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def stream_of(listing: Listing) -> Iterator[Source]:
    """Yield the images of a listing.

    Raises:
        DataError: where reading stops.
    """
    try:
        yield from listing.stream()
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
