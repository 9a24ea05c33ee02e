"""Images of up to eight bits as grey or RGB, on white where they are transparent."""

from __future__ import annotations

import numpy as np
from PIL import Image

from taskdiscovery.data.images.scale import strips
from taskdiscovery.types import ImageArray

#: modes of one channel.
GREY = ("1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def on_white(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return an image of up to eight bits as L or RGB, transparent parts on white.

    Returns:
        It, and whether any of it was transparent.
    """
    mode = image.mode
    target = "L" if mode in GREY else "RGB"
    if mode == "La":
        return lit(image)
    if mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        opaque = image.getchannel("A").getextrema() == (255, 255)
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return image.convert(target), not opaque
    return (image if mode == target else image.convert(target)), False


def lit(image: Image.Image) -> tuple[Image.Image, bool]:
    """Set an image that was multiplied with its alpha on white; return it as `on_white` does."""
    bands = np.asarray(image)
    levels = np.empty((*bands.shape[:2], bands.shape[2] - 1), dtype=np.uint8)
    for rows in strips(bands):
        own = bands[rows].astype(np.int64)
        levels[rows] = np.clip(own[..., :-1] + 255 - own[..., -1:], 0, 255)
    shown = Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels)
    return shown, bool((bands[..., -1] < 255).any())


def as_array(image: Image.Image) -> ImageArray:
    """Return the pixels of an image of mode L or RGB, (H, W, channels)."""
    width, height = image.size
    channels = 1 if image.mode == "L" else 3
    return np.ndarray((height, width, channels), dtype=np.uint8, buffer=image.tobytes())
