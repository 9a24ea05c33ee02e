"""Passes over the images of a listing, by threads: decode all at once, or look at each first.

Most data is uniform (eight bits, all grey or the first in colour, one size) and is decoded in one
pass. Where an image turns out to be of another kind, all are looked at first: which can be read,
how large they are, and on what scale deep ones are.
"""

from __future__ import annotations

import errno
import itertools
import math
import shutil
from collections.abc import Iterator

import numpy as np

from taskdiscovery.data.images.canvas import Done, Filled, Item, decode_block
from taskdiscovery.data.images.pixels import look
from taskdiscovery.data.images.survey import Survey
from taskdiscovery.data.images.work import Work, over, stream_of
from taskdiscovery.errors import DataError
from taskdiscovery.types import ImageArray


def uniform(work: Work) -> Filled | None:
    """Decode in one pass, as most data allows.

    Returns:
        All images; None as soon as one is of another kind than the first, deep or damaged.
    """
    try:
        with work.gate.entered() as hold:
            first = look(next(stream_of(work.listing), None), hold, values=False)
    except DataError:
        raise
    except Exception:  # hostile files raise errors of every kind
        return None
    size = work.how.size
    height, width = (first.height, first.width) if size is None else (size, size)
    shape = (height, width, 1 if first.grey else 3)
    filled = Filled(images=_new(work, len(work.listing.ids), shape), range=None)
    stop: list[int] = []
    numbered = (Item(i, i, source) for i, source in enumerate(stream_of(work.listing)))
    items = itertools.takewhile(lambda _: not stop, numbered)
    count = 0
    for done in _decoded(work, items, filled, stop):
        count += done.images
        filled.add(done)
        work.bar.advance(2 * done.images)
    if stop or count != len(work.listing.ids):
        work.bar.advance(-2 * count)
        return None
    return filled


def fill(work: Work, seen: Survey) -> Filled:
    """Decode what the survey found to be sound; a file may be damaged beyond its header."""
    images = _new(work, len(work.listing.ids) - len(seen.bad), seen.shape)
    filled = Filled(images=images, range=seen.range)
    sound = ((i, s) for i, s in enumerate(stream_of(work.listing)) if i not in seen.bad)
    items = (Item(row, place, source) for row, (place, source) in enumerate(sound))
    for done in _decoded(work, items, filled, None):
        filled.add(done)
        work.bar.advance(done.images)
    return filled


def _decoded(
    work: Work, items: Iterator[Item], filled: Filled, stop: list[int] | None
) -> Iterator[Done]:
    """Decode images into their rows, block by block; as `decode_block`."""

    def decode(block: tuple[Item, ...]) -> Done:
        return decode_block(block, filled, work, stop)

    return over(work.pool, items, decode, lambda item: item.source)


def _new(work: Work, count: int, shape: tuple[int, int, int]) -> ImageArray:
    """Make the file of images.

    Raises:
        OSError: where the disk has less room than it needs; mapped, it would only show when it is
            written, and end the process.
    """
    needed, free = count * math.prod(shape), shutil.disk_usage(work.place).free
    if needed > free:
        raise OSError(errno.ENOSPC, f"decoded images take {needed:,} bytes, {free:,} are free")
    return np.lib.format.open_memmap(
        work.place / "images.npy", mode="w+", dtype=np.uint8, shape=(count, *shape)
    )
