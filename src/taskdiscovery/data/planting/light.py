"""Light: brightness, contrast and colour of the whole picture."""

from __future__ import annotations

import numpy as np

from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.types import FloatArray, ImageArray

#: luma of red, green and blue (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114])
#: rows: luma and two colour differences (YIQ), in which a turn is a turn of the hue.
_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def _bytes(values: FloatArray) -> ImageArray:
    return np.round(np.clip(values, 0, 255)).astype(np.uint8)


def _brightness(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return _bytes(image.astype(np.float64) + 28)


def _contrast(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    x = image.astype(np.float64)
    return _bytes(x.mean() + 0.65 * (x - x.mean()))


def _hue(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Turn the hue by 40 degrees at the same luma; a grey picture gets a tint where it can."""
    if image.shape[2] != 3:
        return _brightness(image, rng)
    angle = np.deg2rad(40)
    turn = np.eye(3)
    turn[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return _bytes(image.astype(np.float64) @ (np.linalg.inv(_TO_YIQ) @ turn @ _TO_YIQ).T)


def _tint(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """A warm white balance."""
    if image.shape[2] != 3:
        return _brightness(image, rng)
    return _bytes(image.astype(np.float64) * np.array([1.12, 1.0, 0.86]))


LIGHT = (
    Cue(name="brightness", about="28 of 255 brighter", family="light", change=_brightness),
    Cue(name="contrast", about="two thirds of the contrast", family="light", change=_contrast),
    Cue(name="hue", about="hue turned by 40 degrees", family="light", change=_hue),
    Cue(name="tint", about="a warm white balance", family="light", change=_tint),
)
