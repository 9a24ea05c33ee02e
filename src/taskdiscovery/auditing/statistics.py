"""Statistics of whole pictures, by family: how a picture was taken, kept and lit.

Each is a number an image. A linear reader sees bends in them by `hinges`.

Axes: N images, B of a batch, H, W pixels, K statistics.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import fft

from taskdiscovery.types import Float32, ImageArray

#: families of statistics, in the order of `statistics`.
NOISE, SHARPNESS, CODEC = "noise", "sharpness", "codec"
BRIGHTNESS, CONTRAST, COLOUR = "brightness", "contrast", "colour"
CAMERA, LIGHT = (NOISE, SHARPNESS, CODEC), (BRIGHTNESS, CONTRAST, COLOUR)
FAMILIES = (*CAMERA, *LIGHT)
_BLOCK, _BATCH, _BANDS, _HUES = 8, 256, 8, 12
#: coefficients under this many grey levels count as zero.
_ZERO = 1.5
#: where hinges bend.
_BENDS = (0.1, 0.3, 0.5, 0.7, 0.9)


def statistics(
    images: ImageArray, advance: Callable[[int], None] = lambda count: None
) -> dict[str, Float32]:
    """Measure pictures.

    Args:
        images: (N, H, W, channels) uint8, of at least 16 pixels a side; one channel is grey.
        advance: told how many images have been passed.

    Returns:
        (N, K) of each family.
    """
    found: dict[str, list[Float32]] = {name: [] for name in FAMILIES}
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        for name, values in _measured(batch).items():
            found[name].append(values.astype(np.float32))
        advance(len(batch))
    return {name: np.concatenate(values) for name, values in found.items()}


def hinges(values_NK: Float32) -> Float32:
    """Return (N, 6 K): standardized values, and what they are beyond each of five quantiles."""
    x = values_NK.astype(np.float64)
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    bent = [np.maximum(x - np.quantile(x, bend, axis=0), 0) for bend in _BENDS]
    return np.concatenate([x, *bent], axis=1).astype(np.float32)


def _measured(images: ImageArray) -> dict[str, Float32]:
    x = images.astype(np.float32)
    colour = x if x.shape[3] == 3 else np.repeat(x[..., :1], 3, axis=3)
    grey = colour @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    blue, red = colour[..., 2] - grey, colour[..., 0] - grey
    spread = np.log(grey.std(axis=(1, 2)) + 1)[:, None]
    return {
        NOISE: _noise(grey, blue, red),
        SHARPNESS: _sharpness(grey, spread),
        CODEC: _codec(grey, blue, red),
        BRIGHTNESS: np.concatenate(
            [grey.mean(axis=(1, 2))[:, None], _quantiles(grey, 0.05, 0.25, 0.5, 0.75, 0.95)], axis=1
        ),
        CONTRAST: _contrast(images, grey, spread),
        COLOUR: _colour(blue, red),
    }


def _quantiles(plane_BHW: Float32, *at: float) -> Float32:
    """Return (B, len(at)) quantiles over pixels."""
    return np.quantile(plane_BHW.reshape(len(plane_BHW), -1), at, axis=1).T.astype(np.float32)


def _diagonal(plane_BHW: Float32) -> Float32:
    """Return the finest diagonal detail, which holds noise more than content."""
    p = plane_BHW
    return np.abs(p[:, 1:, 1:] - p[:, :-1, 1:] - p[:, 1:, :-1] + p[:, :-1, :-1]) / 2


def _noise(grey: Float32, blue: Float32, red: Float32) -> Float32:
    """Return quantiles of fine detail in the flatter half; of colour, whatever its hue."""
    tint = np.hypot(_diagonal(blue), _diagonal(red))
    at = (0.05, 0.1, 0.2, 0.35, 0.5)
    return np.log1p(
        np.concatenate([_quantiles(_diagonal(grey), *at), _quantiles(tint, *at)], axis=1)
    )


def _sharpness(grey: Float32, spread: Float32) -> Float32:
    """Return how steep edges are for the contrast, and how the spectrum falls at its end."""
    p = grey
    edges = np.abs(
        4 * p[:, 1:-1, 1:-1] - p[:, :-2, 1:-1] - p[:, 2:, 1:-1] - p[:, 1:-1, :-2] - p[:, 1:-1, 2:]
    )
    steep = np.log1p(_quantiles(edges, 0.9, 0.97, 0.995)) - spread
    bands = _spectrum(grey)
    fall = bands[:, -5:] - bands[:, 1:6].mean(axis=1, keepdims=True)
    return np.concatenate([steep, fall, np.diff(bands[:, 3:], axis=1)], axis=1)


def _spectrum(grey: Float32) -> Float32:
    """Return (B, 10) log power of rings of the spectrum, the last ones in its corners."""
    _, H, W = grey.shape
    window = np.hanning(H)[:, None] * np.hanning(W)[None, :]
    power = np.abs(np.fft.rfft2((grey - grey.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    radius = np.hypot(np.fft.fftfreq(H)[:, None], np.fft.rfftfreq(W)[None, :])
    band = np.clip((radius * 2 * _BANDS).astype(int), 0, _BANDS + 1)
    rings = [np.log(power[:, band == b].mean(axis=1) + 1) for b in range(_BANDS + 2)]
    return np.stack(rings, axis=1).astype(np.float32)


def _codec(grey: Float32, blue: Float32, red: Float32) -> Float32:
    """Return what is so on the codec's grid of 8 x 8 and not off it: zeros, and steps."""
    off = _BLOCK // 2
    traces = [_zeros(plane, 0) - _zeros(plane, off) for plane in (grey, blue, red)]
    return np.concatenate([traces[0], (traces[1] + traces[2]) / 2, _steps(grey)], axis=1)


def _zeros(plane_BHW: Float32, shift: int) -> Float32:
    """Return (B, 8) shares of coefficients that are nearly zero, by their diagonal."""
    B, H, W = plane_BHW.shape
    rows, cols = (H - shift) // _BLOCK, (W - shift) // _BLOCK
    cut = plane_BHW[:, shift : shift + rows * _BLOCK, shift : shift + cols * _BLOCK]
    blocks = cut.reshape(B, rows, _BLOCK, cols, _BLOCK).transpose(0, 1, 3, 2, 4)
    small = (np.abs(fft.dctn(blocks, axes=(3, 4), norm="ortho")) < _ZERO).mean(axis=(1, 2))
    diagonal = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)) // 2
    found = [small[:, diagonal == d].mean(axis=1) for d in range(8)]
    return np.stack(found, axis=1).astype(np.float32)


def _steps(grey: Float32) -> Float32:
    """Return (B, 2) how much larger steps are across the borders of blocks than elsewhere."""
    found = []
    for axis in (1, 2):
        step = np.abs(np.diff(grey, axis=axis))
        at = np.arange(step.shape[axis]) % _BLOCK == _BLOCK - 1
        border = step.compress(at, axis=axis).mean(axis=(1, 2))
        inside = step.compress(~at, axis=axis).mean(axis=(1, 2))
        found.append(np.log((border + 0.1) / (inside + 0.1)))
    return np.stack(found, axis=1).astype(np.float32)


def _contrast(images: ImageArray, grey: Float32, spread: Float32) -> Float32:
    q = _quantiles(grey, 0.03, 0.25, 0.75, 0.97)
    flat = images.reshape(len(images), -1)
    columns = [
        spread[:, 0],
        np.log(q[:, 2] - q[:, 1] + 1),
        np.log(q[:, 3] - q[:, 0] + 1),
        (flat == 0).mean(axis=1),
        (flat == 255).mean(axis=1),
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def _colour(blue: Float32, red: Float32) -> Float32:
    """Return means and spreads of two colour differences, and how much colour each hue has."""
    B = len(blue)
    b, r = blue.reshape(B, -1), red.reshape(B, -1)
    much, hue = np.hypot(b, r), np.arctan2(r, b)
    part = np.clip(((hue + np.pi) / (2 * np.pi) * _HUES).astype(int), 0, _HUES - 1)
    each = [np.sqrt((much * (part == h)).mean(axis=1)) for h in range(_HUES)]
    columns = [b.mean(axis=1), r.mean(axis=1), b.std(axis=1), r.std(axis=1)]
    return np.stack([*columns, np.log1p(much.mean(axis=1)), *each], axis=1).astype(np.float32)
