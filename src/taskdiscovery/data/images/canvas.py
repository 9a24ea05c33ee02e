"""Decoding blocks of images into the rows of one array."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from taskdiscovery.data.images.deep import Deep, as_image
from taskdiscovery.data.images.facts import NONE, Facts
from taskdiscovery.data.images.facttable import Block, block_of
from taskdiscovery.data.images.flat import as_array
from taskdiscovery.data.images.pixels import read
from taskdiscovery.data.images.resizing import fitted
from taskdiscovery.data.images.scale import fits
from taskdiscovery.data.images.traces import Traces
from taskdiscovery.data.images.work import Work
from taskdiscovery.data.listing import Reading, Source
from taskdiscovery.errors import first_line
from taskdiscovery.types import ImageArray

if TYPE_CHECKING:
    from PIL import Image


@dataclass(eq=False, kw_only=True)
class Filled:
    """What a pass has decoded.

    Attributes:
        images: (rows, H, W, channels).
        range: of deep images.
        facts: of the files of these rows.
        late: what turned out to be damaged, by its place in the listing, and why.
        remarks: how many images each remark is true of.
        clipped, dark: how many images hold values outside of the range, or only its least.
    """

    images: ImageArray
    range: tuple[float, float] | None
    facts: list[Block] = field(default_factory=list)
    late: dict[int, str] = field(default_factory=dict)
    remarks: Counter[str] = field(default_factory=Counter)
    clipped: int = 0
    dark: int = 0

    def add(self, done: Done) -> None:
        """Take up what a thread has done."""
        self.facts.append(done.facts)
        self.late |= done.late
        self.remarks.update(done.remarks)
        self.clipped += done.clipped
        self.dark += done.dark


class Item(NamedTuple):
    """An image: its row among those decoded, its place in the listing, and where it is."""

    row: int
    place: int
    source: Source


class Done(NamedTuple):
    """What a thread has made of a block."""

    images: int
    facts: Block
    late: dict[int, str]
    remarks: list[str]
    clipped: int
    dark: int


class _Canvas:
    """Rows of images that pictures are written into.

    Args:
        into: the images of all, and the range of deep ones.
        how: size and fit.
    """

    def __init__(self, into: Filled, how: Reading) -> None:
        self.rows = np.asarray(into.images)  # without the bookkeeping of a mapped array
        self.shape = self.rows.shape[1:]
        self.mode = "L" if self.shape[2] == 1 else "RGB"
        self.range, self.size, self.fit = into.range, how.size, how.fit
        self.clipped = self.dark = 0

    def put(self, content: Image.Image | Deep, row: int) -> Image.Image | None:
        """Write a picture into its row.

        Returns:
            It, of mode L or RGB, before it was resized; None where it was not.

        Raises:
            ValueError: where it does not belong there.
        """
        if isinstance(content, Deep):
            if self.range is None:
                raise ValueError("it is deep, unlike the first")
            outside, dark = fits(content.samples[None], self.range)
            self.clipped += int(outside[0])
            self.dark += int(dark[0])
            content = as_image(content, self.range)
        if content.mode != self.mode:
            if self.mode == "L":
                raise ValueError("it is in colour, unlike its header or the first")
            content = content.convert(self.mode)
        native = content
        if self.size is not None:
            content = fitted(content, self.size, self.fit)
        pixels = as_array(content)
        if pixels.shape != self.shape:
            raise ValueError("it is of another size than its header or the first")
        self.rows[row] = pixels
        return None if content is native else native


def decode_block(block: tuple[Item, ...], into: Filled, work: Work, stop: list[int] | None) -> Done:
    """Decode a block of images into their rows.

    Args:
        block: the images.
        into: the images of all, and the range of deep ones.
        work: how, and the gate that threads take memory from.
        stop: gets the first image that cannot be decoded so, and ends the pass; None to go on.
    """
    canvas = _Canvas(into, work.how)
    rows: list[Facts] = []
    traces = Traces(canvas.rows)
    remarks: list[str] = []
    late: dict[int, str] = {}
    for row, place, source in block:
        if stop:
            break
        try:
            with work.gate.entered() as hold:
                content, found, own = read(source, hold)
                traces.take(len(rows), row, canvas.put(content, row), found.orientation)
                del content
            rows.append(found)
            remarks += own
        except Exception as error:  # hostile files raise errors of every kind
            late[place] = first_line(error)
            rows.append(NONE)
            if stop is not None:
                stop.append(place)
    facts = block_of(rows, traces.numbers(len(rows)))
    return Done(len(block), facts, late, remarks, canvas.clipped, canvas.dark)
