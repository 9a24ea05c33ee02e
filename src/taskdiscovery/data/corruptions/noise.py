"""Noise of the sensor: the published amounts.

Axes: H, W pixels, C channels.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.data.corruptions.corruption import Corruption
from taskdiscovery.data.images import operations
from taskdiscovery.types import ImageArray


def _gaussian(
    image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator
) -> ImageArray:
    return operations.noisy(image, rng, 255 * amounts[0])


def _shot(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """Count so many photons of a white pixel, as a short exposure does."""
    (photons,) = amounts
    counted = rng.poisson(image / 255 * photons).astype(np.float64)
    return operations.to_bytes(counted * (255 / photons))


def _impulse(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """Make a share of the values black or white; those of a lower strength are among them."""
    place, white = rng.random(image.shape), rng.random(image.shape) < 0.5
    struck = place < amounts[0]
    return np.where(struck, np.where(white, np.uint8(255), np.uint8(0)), image).astype(np.uint8)


NOISE = (
    Corruption(
        name="gaussian_noise",
        about="noise of the same width everywhere, as in low light",
        change=_gaussian,
        small=((0.04,), (0.08,), (0.10,)),
        large=((0.08,), (0.18,), (0.38,)),
    ),
    Corruption(
        name="shot_noise",
        about="few photons a pixel",
        change=_shot,
        small=((500.0,), (100.0,), (50.0,)),
        large=((60.0,), (12.0,), (3.0,)),
    ),
    Corruption(
        name="impulse_noise",
        about="values that are black or white, as bit errors make them",
        change=_impulse,
        small=((0.01,), (0.03,), (0.07,)),
        large=((0.03,), (0.09,), (0.27,)),
    ),
)
