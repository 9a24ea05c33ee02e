"""Images of any size to one size: cropped, padded or squashed, the same way for every reader.

Axes: N images.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from taskdiscovery.data.images.flat import as_array
from taskdiscovery.types import ImageArray

#: what fills the border of a padded image.
MID_GREY = 128


def fitted(image: Image.Image, size: int | None, fit: str) -> Image.Image:
    """Return an image of mode L or RGB as size x size pixels; as it is where size is None.

    Args:
        image: of any size.
        size: side in pixels.
        fit: `crop` scales the shorter side and crops the centre; `pad` scales the longer side and
            fills up with mid-grey; `squash` scales both.
    """
    if size is None or image.size == (size, size):
        return image
    method = Image.Resampling.LANCZOS
    if fit == "crop":
        return ImageOps.fit(image, (size, size), method)
    if fit == "squash":
        return image.resize((size, size), method)
    longer = max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    padded = Image.new(image.mode, (size, size), (MID_GREY,) * len(image.getbands()))
    inner = image.resize((width, height), method)
    padded.paste(inner, ((size - width) // 2, (size - height) // 2))
    return padded


def fitted_arrays(images: ImageArray, size: int | None, fit: str) -> ImageArray:
    """Return (N, size, size, channels) of (N, H, W, channels), which may have any channels."""
    if size is None or images.shape[1:3] == (size, size):
        return images
    count, _, _, channels = images.shape
    resized = np.empty((count, size, size, channels), dtype=np.uint8)
    for image, place in zip(images, resized, strict=True):
        place[...] = fitted_array(image, size, fit)
    return resized


def fitted_array(image: ImageArray, size: int, fit: str) -> ImageArray:
    """Return (size, size, channels) of (H, W, channels)."""
    if image.shape[2] == 3:
        return as_array(fitted(Image.fromarray(image), size, fit))
    channels = np.moveaxis(image, 2, 0)  # each is resized alone, as Pillow does it, too
    bands = [as_array(fitted(Image.fromarray(c), size, fit)) for c in channels]
    return np.concatenate(bands, axis=2)


def border_problem(uneven: int, size: int | None, fit: str) -> tuple[str, ...]:
    """Warn of images whose grey border tells what their aspect was.

    Args:
        uneven: how many images are not square.
        size: as asked for.
        fit: as asked for.
    """
    if size is None or fit != "pad" or not uneven:
        return ()
    return (
        f"{uneven} images are padded with grey: the border tells a network how wide or high each "
        "was, whatever it shows",
    )
