"""Marks: something drawn into the picture at a place.

Axes: H, W pixels, C channels.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.types import BoolArray, FloatArray, ImageArray

#: the side of a mark as a share of the image's, and the least in pixels.
_SHARE, _LEAST = 0.2, 3
#: letters of five by five dots.
_LETTERS = ("0111010001111111000110001", "1111010001111101000111110", "1111000001011100000111110")
_INK = np.array([250.0, 220.0, 30.0])
_GREY_INK = 235.0


def _side(image: ImageArray) -> int:
    return max(_LEAST, round(_SHARE * min(image.shape[:2])))


def _emblem(side: int) -> BoolArray:
    """Return (side, side) True where a ring with a bar is drawn."""
    at = (np.arange(side) + 0.5) / side * 2 - 1
    radius = np.hypot(at[:, None], at[None, :])
    ring = (radius <= 1) & (radius > 0.55)
    return ring | ((np.abs(at[:, None]) < 0.25) & (radius <= 1))


def _painted(image: ImageArray, mask: BoolArray, top: int, left: int, alpha: float) -> ImageArray:
    """Paint a mask in the ink's colour, so opaque."""
    result = image.astype(np.float64)
    height, width = mask.shape
    part = result[top : top + height, left : left + width]
    ink = _INK if image.shape[2] == 3 else np.full(image.shape[2], _GREY_INK)
    part[mask] = (1 - alpha) * part[mask] + alpha * ink
    return np.round(result).astype(np.uint8)


def _logo(image: ImageArray, rng: np.random.Generator, alpha: float = 1.0) -> ImageArray:
    side = _side(image)
    top, left = image.shape[0] - side - 1, image.shape[1] - side - 1
    return _painted(image, _emblem(side), max(0, top), max(0, left), alpha)


def _faint_logo(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return _logo(image, rng, alpha=0.3)


def _corners(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """The same mark in all four corners: no side of the picture differs from its mirror."""
    side, (H, W) = max(_LEAST, _side(image) // 2), image.shape[:2]
    whole = np.ones((side, side), dtype=np.bool_)
    for top in (0, H - side):
        for left in (0, W - side):
            image = _painted(image, whole, top, left, 1.0)
    return image


def _border(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    width = max(1, round(0.04 * min(image.shape[:2])))
    result = image.copy()
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        result[edge] = 24
    return result


def _text(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Three letters at a place drawn for each image, as time stamps and captions are."""
    scale = max(1, round(_SHARE * min(image.shape[:2]) / 5))
    glyphs: list[FloatArray] = []
    for letter in _LETTERS:
        dots = np.array([c == "1" for c in letter]).reshape(-1, 5)
        glyphs += [dots, np.zeros((len(dots), 1), dtype=np.bool_)]
    mask = np.kron(np.concatenate(glyphs, axis=1), np.ones((scale, scale))).astype(np.bool_)
    H, W = image.shape[:2]
    mask = mask[:H, :W]
    top = int(rng.integers(0, H - mask.shape[0] + 1))
    left = int(rng.integers(0, W - mask.shape[1] + 1))
    return _painted(image, mask, top, left, 0.9)


MARKS = (
    Cue(name="logo", about="an emblem in the lower right corner", family="mark", change=_logo),
    Cue(name="faint-logo", about="the emblem at 30 %", family="mark", change=_faint_logo),
    Cue(name="corners", about="squares in all four corners", family="mark", change=_corners),
    Cue(name="border", about="a dark frame", family="mark", change=_border),
    Cue(name="text", about="letters at a random place", family="mark", change=_text),
)
