"""Marks at a place: a corner, all corners, the frame."""

from __future__ import annotations

from functools import partial

import numpy as np

from taskdiscovery.auditing.maps import GRID
from taskdiscovery.auditing.seen import CELLS, Seen
from taskdiscovery.auditing.views.view import CONTROL, MODES, UNIQUE, Box, View
from taskdiscovery.types import ImageArray, IntArray
from taskdiscovery.types.audit import ARTEFACT

_LAST = GRID - 1
_SIDE, _FRAME = 1 / GRID, 0.06
_CORNERS = {
    "upper left": (0, 0),
    "upper right": (0, _LAST),
    "lower left": (_LAST, 0),
    "lower right": (_LAST, _LAST),
}


def _box(row: int, column: int) -> Box:
    return (row * _SIDE, column * _SIDE, (row + 1) * _SIDE, (column + 1) * _SIDE)


_BOXES = {name: _box(*place) for name, place in _CORNERS.items()}
_SIDES: tuple[Box, ...] = (
    (0.0, 0.0, _FRAME, 1.0),
    (1 - _FRAME, 0.0, 1.0, 1.0),
    (0.0, 0.0, 1.0, _FRAME),
    (0.0, 1 - _FRAME, 1.0, 1.0),
)


def _pasted(images: ImageArray, donors: ImageArray, boxes: tuple[Box, ...]) -> ImageArray:
    """Take what lies in the boxes from the donors."""
    result = images.copy()
    H, W = images.shape[1:3]
    for top, left, bottom, right in boxes:
        rows = slice(int(np.floor(top * H)), int(np.ceil(bottom * H)))
        columns = slice(int(np.floor(left * W)), int(np.ceil(right * W)))
        result[:, rows, columns] = donors[:, rows, columns]
    return result


def _corner(name: str) -> View:
    row, column = _CORNERS[name]
    far = tuple((r, c) for r, c in CELLS if max(abs(r - row), abs(c - column)) > 1)
    boxes = (_BOXES[name],)
    return View(
        name=f"corner {name}",
        kind=ARTEFACT,
        words=f"something in the {name} corner",
        remedy=f"cover or crop the {name} corner of every picture, or take images whose mark does "
        "not go with their class",
        own=lambda seen: seen.cells((row, column)),
        # Its neighbours may hold the rest of a mark.
        rest=lambda seen: seen.cells(*far),
        control=lambda seen: seen.cells((row, _LAST - column)),
        tests=(UNIQUE, MODES),
        beyond_control=True,
        place=True,
        exchange=partial(_pasted, boxes=boxes),
        boxes=boxes,
    )


def _all_corners() -> View:
    four = tuple(_CORNERS.values())
    others = tuple(cell for cell in CELLS if cell not in four)
    boxes = tuple(_BOXES.values())
    return View(
        name="corners",
        kind=ARTEFACT,
        words="something in several corners at once",
        remedy="cover or crop the corners of every picture",
        own=lambda seen: seen.cells(*four),
        rest=lambda seen: seen.cells(*others),
        control=lambda seen: seen.cells((0, 1), (1, _LAST), (_LAST, _LAST - 1), (_LAST - 1, 0)),
        tests=(UNIQUE, MODES),
        place=True,
        exchange=partial(_pasted, boxes=boxes),
        boxes=boxes,
    )


def _within(seen: Seen) -> IntArray:
    """What lies within the frame, whose filters do not reach it."""
    inner = tuple((r, c) for r, c in CELLS if 0 < r < _LAST and 0 < c < _LAST)
    return np.concatenate([seen.cells(*inner), seen.band("inner")])


_FRAME_VIEW = View(
    name="frame",
    kind=ARTEFACT,
    words="the outermost pixels (a border, a scan's edge)",
    remedy="crop a few pixels off every side of every picture",
    own=lambda seen: seen.band("ring"),
    rest=_within,
    control=lambda seen: seen.band("inner"),
    tests=(UNIQUE, CONTROL, MODES),
    place=True,
    exchange=partial(_pasted, boxes=_SIDES),
    boxes=_SIDES,
)

VIEWS = (*map(_corner, _CORNERS), _all_corners(), _FRAME_VIEW)
