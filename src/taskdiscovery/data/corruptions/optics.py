"""Blur: out of focus, through frosted glass, by motion, by zooming.

What differs from the published code:

- defocus: the same radii, on a disc drawn in fractions of pixels in place of one of whole pixels
  that is blurred afterwards;
- glass: pixels are taken from places around them, all at once and in fractions of pixels, in place
  of swaps one after another; distances are those that the published swaps reach together;
- motion: the same kernel (half a Gaussian), but centred, so that nothing is moved;
- zoom: eleven enlargements up to the published one, in place of six to thirty, each once.

Axes: H, W pixels, C channels, P points.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from PIL import Image

from taskdiscovery.data.corruptions.corruption import Corruption
from taskdiscovery.data.images import operations
from taskdiscovery.types import FloatArray, ImageArray

#: of a disc or a stroke, points for each pixel of its length, and at least.
_POINTS, _LEAST = 4, 17
#: of a Gaussian, deviations that are drawn.
_TAIL = 4
_ENLARGEMENTS = 11


def convolved(image: FloatArray, kernel: FloatArray) -> FloatArray:
    """Convolve (H, W, C) or (H, W) with a kernel (K, K), the picture mirrored at its edges."""
    from scipy import ndimage

    if image.ndim == 2:
        return np.asarray(ndimage.convolve(image, kernel, mode="mirror"))
    planes = [convolved(image[..., c], kernel) for c in range(image.shape[2])]
    return np.stack(planes, axis=2)


def kernel_of(y_P: FloatArray, x_P: FloatArray, weights_P: FloatArray) -> FloatArray:
    """Return the kernel (K, K), K odd, that spreads a pixel over weighted points around it.

    A point between pixels falls on the four around it, by its distance to each.
    """
    reach = int(np.ceil(max(np.abs(y_P).max(), np.abs(x_P).max()))) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    top_P, left_P = np.floor(y_P), np.floor(x_P)
    for down in (0, 1):
        for right in (0, 1):
            part_P = np.abs(1 - down - (y_P - top_P)) * np.abs(1 - right - (x_P - left_P))
            at = ((top_P + down + reach).astype(int), (left_P + right + reach).astype(int))
            np.add.at(kernel, at, weights_P * part_P)
    used = np.flatnonzero(kernel.any(axis=0) | kernel.any(axis=1))
    edge = min(int(used[0]), 2 * reach - int(used[-1]))
    inner = slice(edge, 2 * reach + 1 - edge)
    return np.asarray(kernel[inner, inner] / kernel.sum())


def stroke(radius: float, sigma: float, angle: float) -> FloatArray:
    """Return the kernel of a motion: half a Gaussian along a line, centred by its mean.

    Args:
        radius: half of the length at which it ends.
        sigma: width of the Gaussian in pixels.
        angle: of the line, in degrees.
    """
    length = min(2 * radius, _TAIL * sigma)  # what lies beyond has no weight to speak of
    at_P = np.linspace(0, length, max(_LEAST, int(length * _POINTS)))
    weights_P = np.exp(-(at_P**2) / (2 * sigma**2))
    at_P = at_P - np.average(at_P, weights=weights_P)
    return kernel_of(np.sin(np.deg2rad(angle)) * at_P, np.cos(np.deg2rad(angle)) * at_P, weights_P)


def warped(image: ImageArray, down: FloatArray, right: FloatArray) -> FloatArray:
    """Take each pixel of (H, W, C) from a place so many pixels (H, W) down and right of it."""
    from scipy import ndimage

    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    planes = [
        ndimage.map_coordinates(
            plane.astype(np.float64), (y + down, x + right), order=1, mode="mirror"
        )
        for plane in np.moveaxis(image, 2, 0)
    ]
    return np.stack(planes, axis=2)


def _defocus(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    (radius,) = amounts
    at = np.linspace(-radius, radius, max(_LEAST, int(2 * radius * _POINTS)))
    y, x = np.meshgrid(at, at, indexing="ij")
    inside = np.hypot(y, x) <= radius * (1 + 1e-9)
    kernel = kernel_of(y[inside], x[inside], np.ones(int(inside.sum())))
    return operations.to_bytes(convolved(image.astype(np.float64), kernel))


def _glass(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    distance, sigma = amounts
    down, right = rng.uniform(-1, 1, (2, *image.shape[:2])) * distance
    found = operations.to_bytes(warped(image, down, right))
    return operations.pictured(found[None], partial(operations.blurred, radius=sigma))[0]


def _motion(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    radius, sigma = amounts
    kernel = stroke(radius, sigma, rng.uniform(-45, 45))
    return operations.to_bytes(convolved(image.astype(np.float64), kernel))


def _zoom(image: ImageArray, amounts: tuple[float, ...], rng: np.random.Generator) -> ImageArray:
    """Mean of enlargements: what a zoom sweeps over during an exposure."""
    H, W = image.shape[:2]
    total = np.zeros(image.shape)
    for factor in np.linspace(1, 1 + amounts[0], _ENLARGEMENTS):
        edge = (1 - 1 / factor) / 2
        box = (W * edge, H * edge, W * (1 - edge), H * (1 - edge))
        enlarge = partial(
            Image.Image.resize, size=(W, H), resample=Image.Resampling.BILINEAR, box=box
        )
        total += operations.pictured(image[None], enlarge)[0]
    return operations.to_bytes(total / _ENLARGEMENTS)


OPTICS = (
    Corruption(
        name="defocus_blur",
        about="out of focus",
        change=_defocus,
        small=((0.3,), (0.5,), (1.5,)),
        large=((3.0,), (6.0,), (10.0,)),
        lengths=(0,),
    ),
    Corruption(
        name="glass_blur",
        about="seen through frosted glass",
        change=_glass,
        small=((0.7, 0.05), (1.0, 0.25), (1.4, 0.4)),
        large=((1.4, 0.7), (3.5, 1.0), (5.7, 1.5)),
        lengths=(0, 1),
    ),
    Corruption(
        name="motion_blur",
        about="moved while exposed",
        change=_motion,
        small=((6.0, 1.0), (6.0, 2.0), (9.0, 2.5)),
        large=((10.0, 3.0), (15.0, 8.0), (20.0, 15.0)),
        lengths=(0, 1),
    ),
    Corruption(
        name="zoom_blur",
        about="zoomed while exposed",
        change=_zoom,
        small=((0.05,), (0.15,), (0.25,)),
        large=((0.10,), (0.20,), (0.30,)),
    ),
)
