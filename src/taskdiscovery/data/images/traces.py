"""What a codec and resampling leave in the pixels of a file, measured before images are resized.

The pixels are those that were decoded anyway: of one channel, every fourth row of the middle, which
takes a few per cent of what decoding does. It lies on the file's own grid of 8 x 8 blocks, also
where the picture was turned upright.

Axes: n images, H rows, W columns, R rows that are looked at, B blocks, T traces.
"""

from __future__ import annotations

import math
from collections import defaultdict
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taskdiscovery.data.images.flat import as_array
from taskdiscovery.types import FloatArray, ImageArray

#: logarithms of: steps along a row across the borders of blocks over those within; differences of
#: steps (curvature) in the flattest blocks, in levels; curvature over steps, both within blocks.
TRACES = ("blockiness", "noise", "sharpness")
#: side of a block; how far apart the rows are that are looked at, and which is the first.
_BLOCK, _APART, _FIRST = 8, 4, 2
_ROWS = _BLOCK // _APART
#: the part that is looked at has this side at most, of large images the second.
_SIDE, _LARGE = 96, 256
#: pixels that are looked at together: of so many 16-bit numbers an array is not mapped anew by
#: the C library each time, which would take longer than the sums (from 128 KiB on, for glibc).
_TOGETHER = 2**15
#: of blocks, the share that is flatter than the one that tells the noise.
_FLATTEST = 0.1
#: added to all means, so that a picture of one level has a logarithm: far below a level.
_LITTLE = 1 / 64
#: of the eight columns of a block, those that have both neighbours in it.
_INNER = np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=np.float32)
Box: TypeAlias = tuple[int, int, int, int]


class Traces:
    """Takes images of a block one by one, and measures those of one shape together.

    Args:
        images: (rows, H, W, channels) of all, as they are kept.
    """

    def __init__(self, images: ImageArray) -> None:
        self._images = images
        self._kept: list[tuple[int, int]] = []
        self._cuts: dict[tuple[int, ...], list[tuple[int, ImageArray]]] = defaultdict(list)

    def take(self, i: int, row: int, native: Image.Image | None, orientation: int) -> None:
        """Take an image; nothing of one that is too small.

        Args:
            i: its place in the block.
            row: among those that are kept.
            native: before it was resized, of mode L or RGB, upright; None where its row is that.
            orientation: how it lies in the file, 1 to 8.
        """
        if native is None and orientation == 1:  # the commonest; its row is looked at in the end
            self._kept.append((i, row))
            return
        picture = self._images[row] if native is None else native
        height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
        if width >= 2 * _BLOCK and height >= 2 * _BLOCK:
            plane = _rows(picture, _box(width, height, orientation), orientation)
            self._cuts[plane.shape].append((i, plane))

    def numbers(self, count: int) -> FloatArray:
        """Return (count, T) traces of the images of the block; NaN where nothing was taken."""
        found = np.full((count, len(TRACES)), math.nan)
        for cuts in self._cuts.values():
            places, planes = zip(*cuts, strict=True)
            found[list(places)] = _all_measured(np.stack(planes))
        height, width, channels = self._images.shape[1:]
        if self._kept and width >= 2 * _BLOCK and height >= 2 * _BLOCK:
            kept = np.array(self._kept)  # rows of a block follow each other
            first, last = kept[0, 1], kept[-1, 1]
            left, top, right, bottom = _box(width, height, 1)
            rows = slice(top + _FIRST, bottom, _APART)
            planes_nRW = self._images[first : last + 1, rows, left:right, channels // 2]
            found[kept[:, 0]] = _all_measured(planes_nRW)[kept[:, 1] - first]
        return found


def _rows(picture: Image.Image | ImageArray, box: Box, orientation: int) -> ImageArray:
    """Return the rows that are looked at, of a part of an upright image, as they lie in the file.

    Of colours, green follows brightness most closely.
    """
    left, top, right, bottom = box
    if isinstance(picture, Image.Image):
        if orientation == 1:  # the nearest of four rows is the third
            size = (right - left, (bottom - top) // _APART)
            rows = as_array(picture.resize(size, Image.Resampling.NEAREST, box=box))
            return rows[..., rows.shape[2] // 2]
        part = as_array(picture.crop(box))
    else:
        part = picture[top:bottom, left:right]
    return _laid(part[..., part.shape[2] // 2], orientation)[_FIRST::_APART]


def _middle(width: int, height: int) -> Box:
    """Return the middle of an image as it lies in the file: whole blocks, of few kinds of sizes."""
    W, H = _side(width), _side(height)
    left, top = (width - W) // 2 // _BLOCK * _BLOCK, (height - H) // 2 // _BLOCK * _BLOCK
    return left, top, left + W, top + H


def _side(side: int) -> int:
    """Return how much of a side is looked at: images of many sizes are then still cuts of few."""
    step = 4 * _BLOCK if side >= 4 * _BLOCK else _BLOCK
    return min(_LARGE if side >= 2 * _LARGE else _SIDE, side // step * step)


@lru_cache(1024)
def _box(width: int, height: int, orientation: int) -> Box:
    """Return where the middle lies in an image that was turned upright, as `_turned` says."""
    swapped, across, down = _turned(orientation)
    left, top, right, bottom = _middle(*((height, width) if swapped else (width, height)))
    if swapped:
        left, top, right, bottom = top, left, bottom, right
    if across:
        left, right = width - right, width - left
    if down:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom


def _laid(plane_HW: ImageArray, orientation: int) -> ImageArray:
    """Turn a cut of an upright image as it lies in the file."""
    swapped, across, down = _turned(orientation)
    plane_HW = plane_HW[:: -1 if down else 1, :: -1 if across else 1]
    return plane_HW.T if swapped else plane_HW


def _turned(orientation: int) -> tuple[bool, bool, bool]:
    """Say how an image is made upright: sides exchanged, then turned over across and down."""
    return orientation > 4, orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8)


def _all_measured(planes_nRW: ImageArray) -> FloatArray:
    """Return (n, T) traces as `_measured`, of as many together as is quick."""
    some = max(1, _TOGETHER // planes_nRW[0].size)
    parts = [planes_nRW[start : start + some] for start in range(0, len(planes_nRW), some)]
    return np.concatenate([_measured(part) for part in parts])


def _measured(planes_nRW: ImageArray) -> FloatArray:
    """Return (n, T) traces of rows of cuts; R is a multiple of 2, W of 8, at least 16.

    Sums are of whole numbers, and exact: those of 64 differences of bytes are below 2^16.
    """
    n, R, W = planes_nRW.shape
    down, across = R // _ROWS, W // _BLOCK
    levels = planes_nRW.astype(np.int16)
    steps = levels[:, :, 1:] - levels[:, :, :-1]
    curves = steps[:, :, 1:] - steps[:, :, :-1]
    # Mean steps by their place in a block, of which the last crosses its border.
    by_column = _sizes(steps).sum(axis=1, dtype=np.uint16)[:, : W - _BLOCK]
    steps_n8 = by_column.reshape(n, across - 1, _BLOCK).mean(axis=1) / R + _LITTLE
    border, within = steps_n8[:, -1], steps_n8[:, :-1].mean(axis=1)
    # Mean curvature of each block.
    bent = np.zeros((n, down, W), dtype=np.uint16)
    sizes = _sizes(curves).reshape(n, down, _ROWS, W - 2)
    sizes.sum(axis=2, dtype=np.uint16, out=bent[:, :, : W - 2])
    bent_nB = (bent.reshape(n, down * across, _BLOCK).astype(np.float32) @ _INNER).astype(
        np.float64
    )
    bent_nB /= _INNER.sum() * _ROWS
    flat = int(_FLATTEST * (bent_nB.shape[1] - 1))
    noise = np.partition(bent_nB, flat, axis=1)[:, flat] + _LITTLE
    sharpness = (bent_nB.mean(axis=1) + _LITTLE) / within
    return np.stack([np.log(border / within), np.log(noise), np.log(sharpness)], axis=1)


def _sizes(differences: NDArray[np.int16]) -> NDArray[np.uint16]:
    """Take the signs off."""
    return np.abs(differences, out=differences).view(np.uint16)
