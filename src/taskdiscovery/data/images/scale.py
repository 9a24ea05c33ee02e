"""The one scale that all deep images of a data set are put on.

Axes: H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config.options import number_text
from taskdiscovery.errors import DataError
from taskdiscovery.types import BoolArray

#: the greatest values of 8, 10, 12, 14 and 16 bits.
FULL = (255, 1023, 4095, 16383, 65535)
#: values whose levels are in memory as floats at once.
_STRIP = 2**20
_SAY = "say which values become black and white: --range LOW,HIGH (in Python range=(LOW, HIGH))"


class Extent(NamedTuple):
    """The least and greatest value of an image, and whether its values are floats."""

    low: float
    high: float
    floats: bool


def extent_of(values: NDArray[Any]) -> Extent:
    """Return the extent of an image.

    Raises:
        ValueError: where a value is not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("it holds values that are not finite")
    return Extent(low, high, values.dtype.kind == "f")


def range_of(extents: Iterable[tuple[str, Extent]], where: str) -> tuple[float, float] | None:
    """Return the values that become 0 and 255 in every deep image of a data set.

    Whole numbers are on a scale from 0 to the greatest value of 8, 10, 12, 14 or 16 bits that none
    exceeds, floats from 0 to 1.

    Args:
        extents: of the deep images, by their ids.
        where: for the error.

    Returns:
        The range; None where no image is deep.

    Raises:
        DataError: where it would be a guess: negative values, floats above 1, whole numbers above
            65535, and both kinds in one data set.
    """
    kinds: dict[bool, Extent] = {}
    names: dict[bool, str] = {}
    for name, extent in extents:
        known = kinds.setdefault(extent.floats, extent)
        low, high = min(known.low, extent.low), max(known.high, extent.high)
        if low < known.low or high > known.high or extent.floats not in names:
            names[extent.floats] = name
        kinds[extent.floats] = Extent(low, high, extent.floats)
    if not kinds:
        return None
    if len(kinds) == 2:
        raise DataError(
            f"some images hold floats ({names[True]}) and some whole numbers ({names[False]})",
            where=where,
            hint=_SAY,
        )
    ((floats, extent),) = kinds.items()
    most = 1 if floats else FULL[-1]
    if extent.low < 0 or extent.high > most:
        what = "floats" if floats else "whole numbers"
        raise DataError(
            f"images hold {what} from {range_text((extent.low, extent.high))}, e.g. "
            f"{names[floats]}",
            where=where,
            hint=f"{_SAY}, e.g. --range {number_text(extent.low)},{number_text(extent.high)}",
        )
    return 0.0, 1.0 if floats else float(next(full for full in FULL if extent.high <= full))


def scale_problems(clipped: int, dark: int, range: tuple[float, float] | None) -> tuple[str, ...]:
    """Warn of what the one scale does to some images.

    Args:
        clipped: how many hold values outside of it.
        dark: how many hold no value above a sixteenth of it.
        range: the scale.
    """
    if range is None:
        return ()
    scale, found = range_text(range), []
    if clipped:
        found.append(f"{clipped} images hold values outside of {scale}, which are clipped")
    if dark:
        found.append(
            f"{dark} images hold no value above a sixteenth of {scale}, the scale of the data "
            "set, and are nearly black"
        )
    return tuple(found)


def fits(values: NDArray[Any], range: tuple[float, float]) -> tuple[BoolArray, BoolArray]:
    """Say of each of (n, …) images whether values are outside of a scale, and whether it is dark.

    Returns:
        (n,) and (n,).
    """
    low, high = range
    axes = tuple(np.arange(1, values.ndim).tolist())
    least, most = values.min(axis=axes), values.max(axis=axes).astype(np.float64)
    return (least < low) | (most > high), most - low <= (high - low) / 16


def range_text(range: tuple[float, float]) -> str:
    """Write a range as messages do."""
    return f"{number_text(range[0])} to {number_text(range[1])}"


def levels_of(values: NDArray[Any], range: tuple[float, float]) -> NDArray[np.float64]:
    """Return levels from 0 to 255, not rounded; values outside of the range are clipped."""
    low, high = range
    return np.clip((values.astype(np.float64) - low) * 255 / (high - low), 0, 255)


def strips(values: NDArray[Any]) -> Iterator[slice]:
    """Yield the rows of an image in strips, so that few of its values are floats at once."""
    height = max(1, _STRIP * len(values) // max(1, values.size))
    for start in np.arange(0, len(values), height).tolist():
        yield slice(start, start + height)
