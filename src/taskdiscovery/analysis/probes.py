"""Counterfactual probes: change an image in one way, and see later whether its label flips.

Beside each probe stands noise of equal strength: every image gets noise with the colours and the
spectrum of the images themselves, scaled until it is as far from the original as the probe's image
is (root mean square over pixels, after clipping).

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import ndimage

from taskdiscovery.types import FloatArray, ImageArray

Transform = Callable[[ImageArray], ImageArray]


def _grey(x: ImageArray) -> ImageArray:
    return _bytes(np.repeat(_mean(x), x.shape[3], axis=3))


def _hue_shift(x: ImageArray) -> ImageArray:
    """Turn every hue by half a circle, keeping the mean of the channels."""
    return _bytes(2 * _mean(x) - x)


def _blur(x: ImageArray) -> ImageArray:
    return _bytes(_smooth(x, max(1.0, x.shape[1] / 16)))


def _high_pass(x: ImageArray) -> ImageArray:
    return _bytes(x - _smooth(x, max(1.0, x.shape[1] / 16)) + 128)


def _patch_shuffle(x: ImageArray) -> ImageArray:
    """Move the cells of a 4×4 grid about, another way for each image."""
    N, H, W, C = x.shape
    h, w = H // 4, W // 4
    if h == 0 or w == 0:
        return x
    cells = x[:, : 4 * h, : 4 * w].reshape(N, 4, h, 4, w, C).transpose(0, 1, 3, 2, 4, 5)
    cells = cells.reshape(N, 16, h, w, C)
    rng = np.random.default_rng(0)
    order = np.argsort(rng.random((N, 16)), axis=1)
    cells = np.take_along_axis(cells, order[:, :, None, None, None], axis=1)
    out = x.copy()
    grid = cells.reshape(N, 4, 4, h, w, C).transpose(0, 1, 3, 2, 4, 5)
    out[:, : 4 * h, : 4 * w] = grid.reshape(N, 4 * h, 4 * w, C)
    return out


def _centre_only(x: ImageArray) -> ImageArray:
    """Paint the border in the image's mean colour; half of the area stays."""
    out = np.broadcast_to(x.mean(axis=(1, 2), keepdims=True), x.shape).copy()
    rows, columns = _centre(x)
    out[:, rows, columns] = x[:, rows, columns]
    return _bytes(out)


def _border_only(x: ImageArray) -> ImageArray:
    out = x.astype(np.float64)
    rows, columns = _centre(x)
    out[:, rows, columns] = x.mean(axis=(1, 2), keepdims=True)
    return _bytes(out)


def _darker(x: ImageArray) -> ImageArray:
    return _bytes(0.7 * x.astype(np.float64))


def _brighter(x: ImageArray) -> ImageArray:
    return _bytes(1.3 * x.astype(np.float64))


#: name of each probe, what it does to (N, H, W, channels) uint8 images, and its word in a verdict.
PROBES: dict[str, tuple[Transform, str]] = {
    "grey": (_grey, "grey"),
    "hue_shift": (_hue_shift, "a turn of all hues"),
    "blur": (_blur, "blur"),
    "high_pass": (_high_pass, "a high-pass filter"),
    "patch_shuffle": (_patch_shuffle, "shuffled patches"),
    "centre_only": (_centre_only, "removal of the border"),
    "border_only": (_border_only, "removal of the centre"),
    "darker": (_darker, "darkening"),
    "brighter": (_brighter, "brightening"),
}
COLOUR = ("grey", "hue_shift")
BLOCK = 100  # images that noise is added to at once


def equal_noise(
    images: ImageArray, changed: ImageArray, *, seed: int = 0
) -> tuple[ImageArray, FloatArray]:
    """Add noise to images until each is as far from the original as its changed form.

    The noise is the difference of two other images with random phases: it has their spectrum and
    their colours, and shows nothing. Its mean is that of the difference, of either sign.

    Args:
        images, changed: (N, H, W, channels) uint8.
        seed: of the noise.

    Returns:
        The noisy images, and (N,) the distances that they were scaled to (root mean square).
    """
    out, distance_N = np.empty_like(images), np.empty(len(images))
    rng = np.random.default_rng([23, seed])
    one_N, other_N = rng.permutation(len(images)), rng.permutation(len(images))
    for start in range(0, len(images), BLOCK):
        rows = slice(start, start + BLOCK)
        x = images[rows].astype(np.float32)
        noise = images[one_N[rows]].astype(np.float32) - images[other_N[rows]]
        noise += rng.normal(size=noise.shape).astype(np.float32)  # where both are one image
        noise = _scrambled(noise, rng)
        aim = np.sqrt(((changed[rows] - x) ** 2).mean(axis=(1, 2, 3), keepdims=True))
        scale = aim / np.maximum(np.sqrt((noise**2).mean(axis=(1, 2, 3), keepdims=True)), 1e-6)
        for _ in range(8):  # clipping takes some of it away
            now = _bytes(x + scale * noise)
            got = np.sqrt(((now - x) ** 2).mean(axis=(1, 2, 3), keepdims=True))
            scale = scale * np.clip(aim / np.maximum(got, 1e-6), 0.2, 5)
        out[rows] = np.where(aim > 0, _bytes(x + scale * noise), images[rows])
        distance_N[rows] = aim[:, 0, 0, 0]
    return out, distance_N


def _scrambled(
    noise: np.ndarray[tuple[int, ...], np.dtype[np.float32]], rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Turn all phases at random, the same way in every channel, so that colours stay."""
    H, W = noise.shape[1:3]
    drawn = rng.normal(size=noise.shape[:3]).astype(np.float32)
    phases = np.angle(np.fft.rfft2(drawn, axes=(1, 2)))
    phases[:, 0, 0] = 0  # the mean keeps its sign, which is random as it is
    turned = np.fft.rfft2(noise, axes=(1, 2)) * np.exp(1j * phases)[..., None]
    return np.fft.irfft2(turned, s=(H, W), axes=(1, 2)).astype(np.float32)


def _mean(x: ImageArray) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return x.mean(axis=3, keepdims=True, dtype=np.float64)


def _smooth(x: ImageArray, sigma: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(
        ndimage.gaussian_filter(x.astype(np.float64), (0, sigma, sigma, 0), mode="nearest")
    )


def _centre(x: ImageArray) -> tuple[slice, slice]:
    margin_y, margin_x = round(x.shape[1] * 0.146), round(x.shape[2] * 0.146)
    return slice(margin_y, x.shape[1] - margin_y), slice(margin_x, x.shape[2] - margin_x)


def _bytes(x: np.ndarray[tuple[int, ...], np.dtype[np.floating[Any]]]) -> ImageArray:
    return np.round(np.clip(x, 0, 255)).astype(np.uint8)
