"""Brightness, contrast, colour, and what lies around: context, which may be meant.

Axes: N images, H, W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from taskdiscovery.auditing import statistics
from taskdiscovery.auditing.maps import GRID
from taskdiscovery.auditing.seen import CELLS, GREY, LIGHT, TINT, Seen
from taskdiscovery.auditing.views.view import RATIO, Operation, View
from taskdiscovery.data.images.operations import LUMA, contrasted, lit, mixed, turn
from taskdiscovery.types import FloatArray, ImageArray, IntArray
from taskdiscovery.types.audit import CONTEXT

#: of red, green and blue: white balances that are tried; `plant` has another.
_GAINS = ((1.07, 1, 0.92), (0.92, 1, 1.07), (1.2, 1, 0.8), (0.8, 1, 1.2), (1, 1.07, 1))


def _linear(images: ImageArray, rng: np.random.Generator, gain: float, add: float) -> ImageArray:
    return lit(images, gain, add)


def _contrasted(images: ImageArray, rng: np.random.Generator, gain: float) -> ImageArray:
    return contrasted(images, gain)


def _contrasts(gains: Sequence[float]) -> tuple[Operation, ...]:
    return tuple(partial(_contrasted, gain=gain) for gain in gains)


def _mixed(images: ImageArray, rng: np.random.Generator, matrix: FloatArray) -> ImageArray:
    return mixed(images, matrix)


def _turned(degrees: float) -> Operation:
    return partial(_mixed, matrix=turn(degrees))


def _balanced(red: float, green: float, blue: float) -> Operation:
    return partial(_mixed, matrix=np.diag([red, green, blue]))


def _paled(share: float) -> Operation:
    return partial(_mixed, matrix=share * np.eye(3) + (1 - share) * np.tile(LUMA, (3, 1)))


def _shapes(seen: Seen) -> IntArray:
    """The grid: filters that do not know how bright a patch is, and colours."""
    return seen.cells()


_INNER = tuple((r, c) for r, c in CELLS if 0 < r < GRID - 1 and 0 < c < GRID - 1)
_OUTER = tuple(cell for cell in CELLS if cell not in _INNER)

VIEWS = (
    View(
        name="brightness",
        kind=CONTEXT,
        words="how bright the pictures are",
        remedy="vary the brightness while training, or allow it (--allow brightness)",
        own=lambda seen: np.concatenate(
            [seen.cells(kinds=(LIGHT,)), seen.of(statistics.BRIGHTNESS)]
        ),
        rest=lambda seen: seen.cells(kinds=(GREY, TINT)),
        likenesses=(
            partial(_linear, gain=1.0, add=15),
            partial(_linear, gain=1.0, add=45),
            partial(_linear, gain=1.2, add=0),
        ),
        strengths=tuple(partial(_linear, gain=1.0, add=add) for add in range(5, 70, 5)),
    ),
    View(
        name="contrast",
        kind=CONTEXT,
        words="how much contrast the pictures have",
        remedy="vary the contrast while training, or allow it (--allow contrast)",
        own=lambda seen: seen.of(statistics.CONTRAST),
        rest=_shapes,
        likenesses=_contrasts((0.5, 0.8, 1.3)),
        strengths=_contrasts((0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.15, 1.3, 1.6)),
    ),
    View(
        name="colour",
        kind=CONTEXT,
        words="colour",
        remedy="train on grey pictures or with changed hues, or allow it where the label is one of "
        "colour (--allow colour)",
        own=lambda seen: np.concatenate([seen.cells(kinds=(TINT,)), seen.of(statistics.COLOUR)]),
        rest=lambda seen: seen.cells(kinds=(GREY, LIGHT)),
        likenesses=(
            *map(_turned, (25, -25, 70)),
            *(_balanced(*gains) for gains in _GAINS),
            _paled(0.7),
        ),
        strengths=(
            *map(_turned, (*range(-90, -9, 10), *range(10, 91, 10))),
            *(_balanced(1 + warm, 1, 1 - warm) for warm in (-0.2, -0.13, -0.07, 0.07, 0.13, 0.2)),
            *(_balanced(1, green, 1) for green in (0.87, 0.93, 1.07, 1.13)),
            *map(_paled, (0.4, 0.7, 1.4)),
        ),
    ),
    View(
        name="background",
        kind=CONTEXT,
        words="what lies around the middle of the picture",
        remedy="crop the pictures to their objects, or take each class before several backgrounds",
        own=lambda seen: seen.cells(*_OUTER),
        rest=lambda seen: seen.cells(*_INNER),
        tests=(RATIO,),
        boxes=(
            (0.0, 0.0, 0.25, 1.0),
            (0.75, 0.0, 1.0, 1.0),
            (0.25, 0.0, 0.75, 0.25),
            (0.25, 0.75, 0.75, 1.0),
        ),
    ),
)
