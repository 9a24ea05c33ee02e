"""Light: brightness, contrast and colour of the whole picture."""

from __future__ import annotations

from functools import partial

import numpy as np

from taskdiscovery.data.images import operations
from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.types import FloatArray, ImageArray


def _brightness(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return operations.lit(image, 1.0, 28)


def _contrast(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return operations.contrasted(image[None], 0.65)[0]


def _coloured(image: ImageArray, rng: np.random.Generator, matrix: FloatArray) -> ImageArray:
    """Mix the channels; a grey picture, which has no colour, is made brighter instead."""
    if image.shape[2] != 3:
        return _brightness(image, rng)
    return operations.mixed(image[None], matrix)[0]


#: the hue turned by 40 degrees at the same luma, and a warm white balance.
_hue = partial(_coloured, matrix=operations.turn(40))
_tint = partial(_coloured, matrix=np.diag([1.12, 1.0, 0.86]))

LIGHT = (
    Cue(name="brightness", about="28 of 255 brighter", family="light", change=_brightness),
    Cue(name="contrast", about="two thirds of the contrast", family="light", change=_contrast),
    Cue(name="hue", about="hue turned by 40 degrees", family="light", change=_hue),
    Cue(name="tint", about="a warm white balance", family="light", change=_tint),
)
