"""What software does to pictures: contrast, elastic folds, fewer pixels, JPEG.

What differs from the published code:

- contrast: drawn toward the mean of the picture, not of each channel;
- elastic: one kind of fold at three sizes, without the affine turn; the published severities go
  from a turn alone to folds alone. Shares of the side, of about the size of theirs;
- pixelate: below 32 pixels at least as many pixels fewer as the strength says, so that it is seen.

Axes: H, W pixels, C channels.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from PIL import Image

from taskdiscovery.data.corruptions.corruption import Corruption
from taskdiscovery.data.corruptions.optics import warped
from taskdiscovery.data.images import operations
from taskdiscovery.types import ImageArray

#: the length over which a fold turns, as a share of the shorter side.
_FOLD = 0.06


def _contrast(
    image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator
) -> ImageArray:
    return operations.contrasted(image[None], amounts[0])[0]


def _elastic(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """Move pixels by a smooth field whose root mean square is a share of the shorter side."""
    from scipy import ndimage

    side = min(image.shape[:2])
    fields = rng.normal(size=(2, *image.shape[:2]))
    fields = ndimage.gaussian_filter(fields, (0, _FOLD * side, _FOLD * side), mode="mirror")
    fields *= amounts[0] * side / (np.sqrt((fields**2).mean()) or 1.0)
    return operations.to_bytes(warped(image, fields[0], fields[1]))


def _pixelate(
    image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator
) -> ImageArray:
    scale, fewer = amounts
    side = min(image.shape[:2])
    kept = max(1, min(int(side * scale), side - round(fewer)))
    change = partial(
        operations.resampled,
        scale=kept / side,
        smaller=Image.Resampling.BOX,
        larger=Image.Resampling.BOX,
    )
    return operations.pictured(image[None], change)[0]


def _jpeg(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    change = partial(operations.compressed, quality=round(amounts[0]))
    return operations.pictured(image[None], change)[0]


DIGITAL = (
    Corruption(
        name="contrast",
        about="little contrast",
        change=_contrast,
        small=((0.75,), (0.40,), (0.15,)),
        large=((0.40,), (0.20,), (0.05,)),
    ),
    Corruption(
        name="elastic_transform",
        about="folded, as a picture on cloth",
        change=_elastic,
        small=((0.012,), (0.020,), (0.030,)),
        large=((0.005,), (0.010,), (0.016,)),
    ),
    Corruption(
        name="pixelate",
        about="fewer pixels, drawn as blocks",
        change=_pixelate,
        small=((0.95, 1.0), (0.85, 2.0), (0.65, 3.0)),
        large=((0.60, 1.0), (0.40, 2.0), (0.25, 3.0)),
    ),
    Corruption(
        name="jpeg_compression",
        about="once kept as JPEG of low quality",
        change=_jpeg,
        small=((80.0,), (58.0,), (40.0,)),
        large=((25.0,), (15.0,), (7.0,)),
    ),
)
