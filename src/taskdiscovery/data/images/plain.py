"""Pixels that somebody decoded already, on one scale and of one size.

Axes: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config.options import number_text
from taskdiscovery.data.images.axes import HINT, array_of, blocks_of, channels_last
from taskdiscovery.data.images.scale import fits, levels_of, range_text, scale_problems
from taskdiscovery.data.listing import Reading
from taskdiscovery.errors import DataError
from taskdiscovery.types import ImageArray

_SAY = "say which values become black and white: range=(LOW, HIGH), or --range LOW,HIGH"


@dataclass(frozen=True, eq=False, kw_only=True)
class Taken:
    """Pixels as a data set keeps them, and what was done to them.

    Attributes:
        images: (N, H, W, C) uint8.
        range: the values that became 0 and 255; None where they were bytes already.
        notes: what was done.
        problems: what may be wrong with it.
    """

    images: ImageArray
    range: tuple[float, float] | None
    notes: tuple[str, ...]
    problems: tuple[str, ...]


def take(images: Any, name: str, how: Reading) -> Taken:
    """Take an array of images.

    Args:
        images: (N, H, W), (N, H, W, C) or (N, C, H, W) numbers: an array, a tensor, nested lists.
        name: for the error.
        how: size, fit and range.

    Raises:
        DataError: for other types or shapes, axes or values of which it is not plain what they are.
    """
    try:
        array = array_of(images)
    except ValueError as error:
        raise DataError(
            "the lists of pixels have different lengths", where=name, hint=HINT
        ) from error
    _check_type(array, name)
    array, turned = channels_last(array, name)
    return _taken([array], name, how, (turned,) if turned else ())


def take_each(pictures: Sequence[NDArray[Any]], name: str, how: Reading) -> Taken:
    """Take images one by one, which may be of different sizes where a size is asked for.

    Args:
        pictures: (H, W, C) numbers each; grey ones become RGB where others are.
        name: for the error.
        how: size, fit and range.

    Raises:
        DataError: as `take`, and for different sizes without a size.
    """
    for row, picture in enumerate(pictures):
        _check_type(picture, name)
        if picture.ndim != 3 or not picture.size:
            raise DataError(
                f"an array of shape {picture.shape} is no image",
                where=f"{name}, row {row}",
                hint="give each as (H, W, channels)",
            )
    if {picture.shape[2] for picture in pictures} == {1, 3}:
        pictures = [p if p.shape[2] == 3 else np.repeat(p, 3, axis=2) for p in pictures]
    shapes = {p.shape if how.size is None else p.shape[2:] for p in pictures}
    if len(shapes) != 1 or not pictures:
        raise DataError(
            f"images have {len(shapes)} different shapes, e.g. {sorted(shapes)[:3]}",
            where=name,
            hint="give one with --size (size= in Python), or resize them before",
        )
    if len({(p.shape, p.dtype) for p in pictures}) == 1:
        return _taken([np.stack(pictures)], name, how, ())
    return _taken([picture[None] for picture in pictures], name, how, ())


def _check_type(array: NDArray[Any], name: str) -> None:
    if array.dtype.kind not in "buif":
        raise DataError(f"images are of type {array.dtype}", where=name, hint=HINT)


def _taken(
    blocks: Sequence[NDArray[Any]], name: str, how: Reading, notes: tuple[str, ...]
) -> Taken:
    """Put (n, H, W, C) blocks on one scale and into one size, and join them."""
    from taskdiscovery.data.images.resizing import border_problem, fitted_arrays

    range = _range(blocks, name, how.range)
    clipped, dark, parts = 0, 0, []
    for block in blocks:
        levels, outside, black = _bytes(block, range)
        clipped, dark = clipped + outside, dark + black
        parts.append(fitted_arrays(levels, how.size, how.fit))
    types = ", ".join(sorted({str(block.dtype) for block in blocks}))
    note = f"pixels are taken as they were decoded ({types})"
    if range is not None:
        note += f"; {range_text(range)} became 0 to 255"
    uneven = sum(len(block) for block in blocks if block.shape[1] != block.shape[2])
    problems = scale_problems(clipped, dark, range) + border_problem(uneven, how.size, how.fit)
    images = parts[0] if len(parts) == 1 else np.concatenate(parts)
    return Taken(images=images, range=range, notes=(*notes, note), problems=problems)


def _range(
    blocks: Sequence[NDArray[Any]], name: str, given: tuple[float, float] | None
) -> tuple[float, float] | None:
    """Return the values that become 0 and 255; None where all are bytes, or yes and no.

    Raises:
        DataError: where it would be a guess, and for values that are not finite.
    """
    others = [b for b in blocks if b.dtype != np.uint8 and b.dtype.kind != "b"]
    start = 0
    for block in blocks:
        bad = start + np.flatnonzero(_not_finite(block))
        if len(bad):
            raise DataError(
                f"{len(bad)} images hold values that are not finite, the first at row {bad[0]}",
                where=name,
                hint="remove or repair them",
                rows=bad[:20].tolist(),
            )
        start += len(block)
    if not others or given is not None:
        return given if others else None
    low, high = min(float(b.min()) for b in others), max(float(b.max()) for b in others)
    say = f"{_SAY}, e.g. range=({number_text(low)}, {number_text(high)})"
    kinds = {block.dtype.kind == "f" for block in others}
    if len(kinds) == 2:
        raise DataError("some images hold floats, some whole numbers", where=name, hint=_SAY)
    if kinds == {True}:
        if low < 0 or high > 1:
            reach = range_text((low, high))
            raise DataError(f"float images reach from {reach}", where=name, hint=say)
        return 0.0, 1.0
    if low < 0 or high > 255:
        raise DataError(
            f"images of type {others[0].dtype} reach from {range_text((low, high))}",
            where=name,
            hint=say,
        )
    return 0.0, 255.0


def _not_finite(block: NDArray[Any]) -> NDArray[np.bool_]:
    """Return (n,) which images of a block hold values that are not finite."""
    found = np.zeros(len(block), dtype=np.bool_)
    if block.dtype.kind == "f":
        for some in blocks_of(block):
            found[some] = ~np.isfinite(block[some]).all(axis=(1, 2, 3))
    return found


def _bytes(block: NDArray[Any], range: tuple[float, float] | None) -> tuple[ImageArray, int, int]:
    """Return a block as uint8, how many images had values outside of the range, and are dark."""
    if block.dtype == np.uint8:
        return block, 0, 0
    if block.dtype.kind == "b" or range is None:
        return np.where(block, 255, 0).astype(np.uint8), 0, 0
    levels = np.empty(block.shape, dtype=np.uint8)
    outside = dark = 0
    for some in blocks_of(block):
        part = block[some]
        levels[some] = np.rint(levels_of(part, range))
        beyond, black = fits(part, range)
        outside, dark = outside + int(beyond.sum()), dark + int(black.sum())
    return levels, outside, dark
