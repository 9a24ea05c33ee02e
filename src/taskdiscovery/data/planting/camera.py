"""Camera and codec: how the picture was made, rather than what is in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

from taskdiscovery.data.images import operations
from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.types import ImageArray


def _pictured(image: ImageArray, change: Callable[[Image.Image], Image.Image]) -> ImageArray:
    return operations.pictured(image[None], change)[0]


def _noise(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return operations.noisy(image, rng, 8)


def _blur(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return _pictured(image, partial(operations.blurred, radius=0.8))


def _resolution(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Two thirds of the pixels, drawn large again: a smaller original."""
    change = partial(operations.resampled, scale=2 / 3, smaller=Image.Resampling.BOX)
    return _pictured(image, change)


def _zoom(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """The inner four fifths, drawn large: another distance."""
    H, W = image.shape[:2]
    box = (W * 0.1, H * 0.1, W * 0.9, H * 0.9)
    return _pictured(
        image, lambda picture: picture.resize((W, H), Image.Resampling.BICUBIC, box=box)
    )


def _jpeg(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Kept once as JPEG of quality 40."""
    return _pictured(image, partial(operations.compressed, quality=40))


def _vignette(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Corners a third darker, as a lens leaves them."""
    H, W = image.shape[:2]
    y, x = np.linspace(-1, 1, H)[:, None], np.linspace(-1, 1, W)[None, :]
    fall = 1 - 0.35 * ((x**2 + y**2) / 2)
    return np.round(image * fall[..., None]).astype(np.uint8)


CAMERA = (
    Cue(name="noise", about="noise of 8 of 255", family="camera", change=_noise),
    Cue(name="blur", about="out of focus by 0.8 pixels", family="camera", change=_blur),
    Cue(name="resolution", about="two thirds of it", family="camera", change=_resolution),
    Cue(name="zoom", about="nearer by a quarter", family="camera", change=_zoom),
    Cue(name="jpeg", about="once kept as JPEG, quality 40", family="camera", change=_jpeg),
    Cue(name="vignette", about="dark corners", family="camera", change=_vignette),
)
