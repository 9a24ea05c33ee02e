"""Which images would a network of the user's take, where it fails on these?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from taskdiscovery.errors import ConfigError

#: sides of images that a network may have been written for.
SIDES = (8, 16, 28, 32, 48, 64, 84, 96, 112, 128, 160, 192, 224, 256, 299, 384)
#: seconds after which no other shape is tried.
PATIENCE = 10.0
#: (H, W, channels).
ImageShape = tuple[int, int, int]


def advice(build: Callable[[ImageShape], object], image_shape: ImageShape) -> str:
    """Say how to come to images that the network takes; nothing where none of many shapes fits.

    Args:
        build: builds the network for images of a shape, and fails where it does not take them.
        image_shape: of the images that it does not take.
    """
    until = time.monotonic() + PATIENCE
    for shape in _others(image_shape):
        if time.monotonic() > until:
            break
        try:
            build(shape)
        except ConfigError:
            continue
        return _way(shape, image_shape)
    return ""


def _others(image_shape: ImageShape) -> Iterator[ImageShape]:
    """Yield other shapes, those with as many channels first, and the small ones of these."""
    height, width, channels = image_shape
    for count in (channels, *(c for c in (3, 1) if c != channels)):
        sides = [(height, width), *((side, side) for side in SIDES)]
        yield from ((*side, count) for side in sides if (*side, count) != image_shape)


def _way(shape: ImageShape, image_shape: ImageShape) -> str:
    """Say how to come from images of one shape to those of another."""
    side, channels = shape[0], shape[2]
    parts = []
    if shape[:2] != image_shape[:2]:
        parts.append(f"it takes {side}×{side} pixels: add --size {side}")
    if channels != image_shape[2]:
        way = "numpy.repeat(images, 3, axis=-1)" if image_shape[2] == 1 else "make them grey"
        words = f"{channels} channel{'s' if channels > 1 else ''}"
        parts.append(f"it takes images of {words}: {way}, or build it for image_shape[2] channels")
    return "; ".join(parts)
