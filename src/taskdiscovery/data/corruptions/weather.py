"""Weather and light: snow, fog, brightness.

`frost`, the fifteenth of the published ones, needs photographs of frost, and is left out. What
differs from the published code:

- snow: its three severities differ in flakes, not in one order of strength; ours has more of the
  same from strength to strength, between the published amounts;
- fog: octaves of noise in place of a plasma fractal; the same amounts;
- brightness: pixels that are nearly black become grey; the published change of hue, saturation and
  value makes bright colours of the noise in them.

Axes: H, W pixels, C channels.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from taskdiscovery.data.corruptions.corruption import Corruption
from taskdiscovery.data.corruptions.optics import convolved, stroke
from taskdiscovery.data.images import operations
from taskdiscovery.types import FloatArray, ImageArray

#: largest channel below which a pixel's colour is little but noise.
_DARK = 32


def _grey(values: FloatArray) -> FloatArray:
    """Return (H, W, 1) luma of colours, the mean of other channels."""
    if values.shape[2] == 3:
        return np.asarray((values @ operations.LUMA)[..., None])
    return np.asarray(values.mean(axis=2, keepdims=True))


def _field(rng: np.random.Generator, rows: int, columns: int, H: int, W: int) -> FloatArray:
    """Draw normal numbers on a grid, and stretch it over (H, W)."""
    coarse = Image.fromarray(rng.normal(size=(rows, columns)).astype(np.float32))
    return np.asarray(coarse.resize((W, H), Image.Resampling.BILINEAR), dtype=np.float64)


def _snow(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """Draw flakes that fall, brighten what is grey, and lay the flakes over it twice."""
    threshold, flake, radius, sigma, mix = amounts
    H, W = image.shape[:2]
    angle = rng.uniform(-135, -45)
    rows, columns = (max(2, round(length / flake)) for length in (H, W))
    drawn = _field(rng, rows, columns, H, W)
    flakes = np.clip(0.6 + 0.3 * (drawn - threshold), 0, 1) * (drawn > threshold)
    flakes = convolved(flakes, stroke(radius, sigma, angle))[..., None]
    x = image / 255
    x = mix * x + (1 - mix) * np.maximum(x, 1.5 * _grey(x) + 0.5)
    return operations.to_bytes(255 * (x + flakes + flakes[::-1, ::-1]))


def _fog(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """Add clouds of every size, and draw all in to the range that there was."""
    density, decay = amounts
    H, W = image.shape[:2]
    clouds = np.zeros((H, W))
    for octave in range(1, max(1, math.ceil(math.log2(max(H, W)))) + 1):
        grid = 2**octave
        clouds += _field(rng, min(grid, H) + 1, min(grid, W) + 1, H, W) / decay**octave
    clouds -= clouds.min()
    clouds /= clouds.max() or 1.0
    brightest = image.max() / 255
    hazy = (image / 255 + density * clouds[..., None]) * brightest / (brightest + density)
    return operations.to_bytes(255 * hazy)


def _brightness(
    image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator
) -> ImageArray:
    """Raise the largest channel, and the others with it, so that hue and saturation stay."""
    x = image.astype(np.float64)
    value = x.max(axis=2, keepdims=True)
    coloured = np.minimum(value / _DARK, 1)
    shares = coloured * x / np.maximum(value, 1) + (1 - coloured)
    return operations.to_bytes(shares * np.minimum(value + 255 * amounts[0], 255))


WEATHER = (
    Corruption(
        name="snow",
        about="flakes that fall, and paler colours",
        change=_snow,
        # threshold in deviations, size of a flake, radius and sigma of its fall, share of the
        # picture that is not paled
        small=((2.4, 1.0, 8.0, 3.0, 0.95), (1.6, 1.2, 10.0, 4.0, 0.9), (1.1, 1.4, 14.0, 6.0, 0.8)),
        large=(
            (1.7, 3.0, 10.0, 4.0, 0.8),
            (1.2, 4.0, 12.0, 8.0, 0.7),
            (1.0, 4.5, 12.0, 10.0, 0.55),
        ),
        lengths=(1, 2, 3),
    ),
    Corruption(
        name="fog",
        about="clouds before the picture",
        change=_fog,
        small=((0.2, 3.0), (0.75, 2.5), (1.5, 1.75)),
        large=((1.5, 2.0), (2.5, 1.7), (3.0, 1.4)),
    ),
    Corruption(
        name="brightness",
        about="brighter, of the same hue",
        change=_brightness,
        small=((0.05,), (0.15,), (0.30,)),
        large=((0.10,), (0.30,), (0.50,)),
    ),
)
