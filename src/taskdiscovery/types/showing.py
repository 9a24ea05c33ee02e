"""Whether pictures are shown: as they are, blurred beyond recognition, or not at all.

Some may not leave the house. All HTML that this package makes, reports and notebook tables alike,
asks here: `showing` decides for a block, the environment variable `TASKDISCOVERY_PICTURES`
(`show`, `blur` or `none`) for the rest. Names of images are shown either way.

Axes: N images.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar

import numpy as np

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.types.aliases import ImageArray

SHOW, BLUR, NONE = MODES = ("show", "blur", "none")
VARIABLE = "TASKDISCOVERY_PICTURES"
#: colours in a row of a blurred picture, and the least pixels that each is the mean of. Means are
#: not undone as the blur of a lens can be.
CELLS, LEAST = 6, 4

_CHOSEN: ContextVar[str] = ContextVar("showing", default="")


def mode() -> str:
    """Return how pictures are shown now.

    Raises:
        ConfigError: where the environment variable says something else.
    """
    found = _CHOSEN.get() or os.environ.get(VARIABLE) or SHOW
    if found not in MODES:
        raise ConfigError(
            f"{VARIABLE} is {found!r}", where="environment", hint=nearest(found, MODES)
        )
    return found


@contextlib.contextmanager
def showing(*, no_images: bool = False, blur: bool = False) -> Iterator[None]:
    """Decide how pictures are shown within a block; where neither is asked for, nothing changes.

    Args:
        no_images: show none; also where both are asked for.
        blur: show each as 6 x 6 colours, fewer for pictures under 24 pixels.
    """
    chosen = NONE if no_images else BLUR if blur else _CHOSEN.get()
    token = _CHOSEN.set(chosen)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def as_shown(images: ImageArray) -> ImageArray:
    """Return (N, H, W, channels) pictures as they may be shown, of the same shape."""
    return blurred(images) if mode() == BLUR else images


def blurred(images: ImageArray) -> ImageArray:
    """Return pictures of which at most 6 x 6 mean colours are left, drawn smoothly.

    Args:
        images: (N, H, W, channels) uint8.
    """
    from PIL import Image

    result = np.empty_like(images)
    _, H, W, channels = images.shape
    small = (max(1, min(CELLS, W // LEAST)), max(1, min(CELLS, H // LEAST)))
    for i, image in enumerate(images):
        for c in range(channels):
            plane = Image.fromarray(np.ascontiguousarray(image[..., c]))
            means = plane.resize(small, Image.Resampling.BOX)
            result[i, ..., c] = np.asarray(means.resize((W, H), Image.Resampling.BILINEAR))
    return result
