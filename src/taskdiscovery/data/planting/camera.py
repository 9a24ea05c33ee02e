"""Camera and codec: how the picture was made, rather than what is in it."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.types import ImageArray


def _pictured(image: ImageArray, change: Callable[[Image.Image], Image.Image]) -> ImageArray:
    """Change an image as Pillow does: in colour where it has three channels, else each alone."""
    if image.shape[2] == 3:
        return np.asarray(change(Image.fromarray(image)), dtype=np.uint8)
    planes = [Image.fromarray(np.ascontiguousarray(plane)) for plane in np.moveaxis(image, 2, 0)]
    return np.stack([np.asarray(change(plane), dtype=np.uint8) for plane in planes], axis=2)


def _noise(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    noisy = image + rng.normal(0, 8, image.shape)
    return np.round(np.clip(noisy, 0, 255)).astype(np.uint8)


def _blur(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    return _pictured(image, lambda picture: picture.filter(ImageFilter.GaussianBlur(0.8)))


def _resolution(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Two thirds of the pixels, drawn large again: a smaller original."""
    H, W = image.shape[:2]
    small = (max(1, round(W * 2 / 3)), max(1, round(H * 2 / 3)))
    return _pictured(
        image,
        lambda picture: picture.resize(small, Image.Resampling.BOX).resize(
            (W, H), Image.Resampling.BICUBIC
        ),
    )


def _zoom(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """The inner four fifths, drawn large: another distance."""
    H, W = image.shape[:2]
    box = (W * 0.1, H * 0.1, W * 0.9, H * 0.9)
    return _pictured(
        image, lambda picture: picture.resize((W, H), Image.Resampling.BICUBIC, box=box)
    )


def _jpeg(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Kept once as JPEG of quality 40."""

    def change(picture: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=40)
        return Image.open(stream)

    return _pictured(image, change)


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
