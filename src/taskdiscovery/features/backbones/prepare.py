"""Images as a backbone is to see them.

Axes: N images.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from taskdiscovery.data.images.resizing import fitted_arrays
from taskdiscovery.errors import DataError
from taskdiscovery.types import ImageArray
from taskdiscovery.types.backbone import Pixels


def seen(images: ImageArray, pixels: Pixels, channels: int = 3) -> ImageArray:
    """Return (N, size, size, channels) of (N, H, W, 1 or 3) bytes.

    Raises:
        DataError: for colours where only grey is taken.
    """
    side, size = pixels.side, pixels.size
    if pixels.interpolation == "lanczos":
        fitted = fitted_arrays(images, side, pixels.fit)
    elif images.shape[1:3] == (side, side):
        fitted = images
    else:
        method = Image.Resampling[pixels.interpolation.upper()]
        blocks = [_scaled(image, side, pixels.fit, method) for image in images]
        fitted = np.stack(blocks) if blocks else np.zeros((0, side, side, images.shape[3]), "u1")
    margin = round((side - size) / 2)  # as torchvision and timm cut
    cut = fitted[:, margin : margin + size, margin : margin + size]
    if cut.shape[3] == channels:
        return cut
    if cut.shape[3] == 1:
        return np.repeat(cut, channels, axis=3)
    raise DataError(
        "the network takes grey images, these are RGB",
        where=f"images of shape {images.shape[1:]}",
        hint="make them grey",
    )


def _scaled(image: ImageArray, side: int, fit: str, method: Image.Resampling) -> ImageArray:
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    if fit == "crop":
        picture = ImageOps.fit(picture, (side, side), method)
    else:
        picture = picture.resize((side, side), method)
    return np.asarray(picture).reshape(side, side, image.shape[2])
