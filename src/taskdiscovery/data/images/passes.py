"""Passes over the images of a listing, by threads: decode all at once, or look at each first.

Most data is uniform (eight bits, all grey or the first in colour, one size) and is decoded in one
pass. Where an image turns out to be of another kind, all are looked at first: which can be read,
how large they are, and on what scale deep ones are.
"""

from __future__ import annotations

import itertools

import numpy as np

from taskdiscovery.data.images.canvas import Filled, Item, decode_block
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
        first = look(next(stream_of(work.listing), None), values=False)
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
    for done in over(work.pool, items, lambda block: decode_block(block, filled, work.how, stop)):
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
    for done in over(work.pool, items, lambda block: decode_block(block, filled, work.how, None)):
        filled.add(done)
        work.bar.advance(done.images)
    return filled


def _new(work: Work, count: int, shape: tuple[int, int, int]) -> ImageArray:
    return np.lib.format.open_memmap(
        work.place / "images.npy", mode="w+", dtype=np.uint8, shape=(count, *shape)
    )
