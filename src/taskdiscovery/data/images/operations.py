"""What can be done to whole pictures, by how much: noise, blur, resampling, JPEG, light and colour.

One place for those who plant a cue, those who ask whether one was, and those who corrupt.

Axes: N images, H, W pixels, C channels.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

from taskdiscovery.types import FloatArray, ImageArray

#: luma of red, green and blue (ITU-R BT.601).
LUMA = np.array([0.299, 0.587, 0.114])
#: rows: luma and two colour differences (YIQ), in which a turn is a turn of the hue.
_TO_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def to_bytes(values: FloatArray) -> ImageArray:
    """Return values as pixels, those beyond either end drawn in."""
    return np.round(np.clip(values, 0, 255)).astype(np.uint8)


# --- camera and codec ---


def noisy(images: ImageArray, rng: np.random.Generator, sigma: float) -> ImageArray:
    """Add Gaussian noise of so many grey levels."""
    return to_bytes(images + rng.normal(0, sigma, images.shape))


def pictured(images: ImageArray, change: Callable[[Image.Image], Image.Image]) -> ImageArray:
    """Change pictures (N, H, W, C) as Pillow does: those of other channels than 1 or 3 plane by
    plane.
    """
    if images.shape[3] in (1, 3):
        shown = images[..., 0] if images.shape[3] == 1 else images
        found = [np.asarray(change(Image.fromarray(image)), dtype=np.uint8) for image in shown]
        return np.stack(found).reshape(images.shape)
    planes = [pictured(images[..., c : c + 1], change) for c in range(images.shape[3])]
    return np.concatenate(planes, axis=3)


def blurred(picture: Image.Image, radius: float) -> Image.Image:
    """Put a picture out of focus by so many pixels."""
    return picture.filter(ImageFilter.GaussianBlur(radius))


def resampled(
    picture: Image.Image,
    scale: float,
    smaller: Image.Resampling,
    larger: Image.Resampling = Image.Resampling.BICUBIC,
) -> Image.Image:
    """Make a picture smaller, and draw it large again."""
    small = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(small, smaller).resize(picture.size, larger)


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    """Keep a picture once as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


# --- light and colour ---


def lit(images: ImageArray, gain: float, add: float) -> ImageArray:
    """Multiply and add."""
    return to_bytes(images.astype(np.float64) * gain + add)


def contrasted(images: ImageArray, gain: float) -> ImageArray:
    """Draw the pixels of each picture (N, H, W, C) toward its mean, or away from it."""
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    return to_bytes(mean + gain * (images - mean))


def mixed(images: ImageArray, matrix: FloatArray) -> ImageArray:
    """Mix the channels of colour pictures; others have no colour to change."""
    return to_bytes(images.astype(np.float64) @ matrix.T) if images.shape[3] == 3 else images


def turn(degrees: float) -> FloatArray:
    """Return the matrix that turns the hue at the same luma."""
    angle, turned = np.deg2rad(degrees), np.eye(3)
    turned[1:, 1:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return np.asarray(np.linalg.inv(_TO_YIQ) @ turned @ _TO_YIQ)
