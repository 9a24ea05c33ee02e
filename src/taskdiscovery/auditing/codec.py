"""How a picture was kept and taken, from its pixels: traces of codec, sensor, and resampling.

Axes: N images, K columns.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from taskdiscovery.types import Float32, FloatArray, ImageArray

_BLOCK, _BATCH = 8, 512
#: shares of the radial spectrum, from low to high.
_BANDS = 8


def codec_columns(images: ImageArray) -> Float32:
    """Return (N, K) statistics: near-zero coefficients of 8 x 8 cosine transforms on and off the
    codec's grid, quantiles of the noise, logarithms of the radial spectrum.

    Args:
        images: (N, H, W, channels) uint8, of at least 16 pixels a side.
    """
    found = [_measured(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
    return np.concatenate(found).astype(np.float32)


def _measured(images: ImageArray) -> FloatArray:
    x = images.astype(np.float32)
    colour = x if x.shape[3] == 3 else np.repeat(x[..., :1], 3, axis=3)
    grey = colour @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    chroma = colour[..., 2] - grey
    columns = [_zeros(grey, 0), _zeros(grey, 4), _zeros(chroma, 0), _zeros(chroma, 4)]
    columns.append(columns[0] - columns[1])
    columns += [_steps(grey), _noise(grey), _noise(chroma), _spectrum(grey), _levels(images)]
    return np.concatenate([np.atleast_2d(c) for c in columns], axis=1).astype(np.float64)


def _zeros(plane_NHW: Float32, shift: int) -> FloatArray:
    """Return (N, 8) shares of coefficients under half a step, by their diagonal."""
    N, H, W = plane_NHW.shape
    rows, cols = (H - shift) // _BLOCK, (W - shift) // _BLOCK
    cut = plane_NHW[:, shift : shift + rows * _BLOCK, shift : shift + cols * _BLOCK]
    blocks = cut.reshape(N, rows, _BLOCK, cols, _BLOCK).transpose(0, 1, 3, 2, 4)
    spectrum = fft.dctn(blocks, axes=(3, 4), norm="ortho")
    small = (np.abs(spectrum) < 1.0).mean(axis=(1, 2))
    diagonal = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK)) // 2
    return np.stack([small[:, diagonal == d].mean(axis=1) for d in range(8)], axis=1)


def _steps(grey_NHW: Float32) -> FloatArray:
    """Return (N, 2) how much larger steps are across the borders of blocks than elsewhere."""
    found = []
    for axis in (1, 2):
        step = np.abs(np.diff(grey_NHW, axis=axis))
        at = np.arange(step.shape[axis]) % _BLOCK == _BLOCK - 1
        border = step.compress(at, axis=axis).mean(axis=(1, 2))
        inside = step.compress(~at, axis=axis).mean(axis=(1, 2))
        found.append(np.log((border + 0.1) / (inside + 0.1)))
    return np.stack(found, axis=1)


def _noise(plane_NHW: Float32) -> FloatArray:
    """Return (N, 4) log quantiles of the second differences: noise in flat parts, then edges."""
    laplacian = np.abs(
        4 * plane_NHW[:, 1:-1, 1:-1]
        - plane_NHW[:, :-2, 1:-1]
        - plane_NHW[:, 2:, 1:-1]
        - plane_NHW[:, 1:-1, :-2]
        - plane_NHW[:, 1:-1, 2:]
    ).reshape(len(plane_NHW), -1)
    return np.log1p(np.quantile(laplacian, [0.1, 0.3, 0.5, 0.8], axis=1).T)


def _spectrum(grey_NHW: Float32) -> FloatArray:
    """Return (N, 8) log power of rings of the spectrum, the whole taken off."""
    _, H, W = grey_NHW.shape
    window = np.hanning(H)[:, None] * np.hanning(W)[None, :]
    centred = (grey_NHW - grey_NHW.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.rfft2(centred)) ** 2
    radius = np.hypot(np.fft.fftfreq(H)[:, None], np.fft.rfftfreq(W)[None, :])
    band = np.clip((radius * 2 * _BANDS).astype(int), 0, _BANDS - 1)
    logs = np.stack([np.log(power[:, band == b].mean(axis=1) + 1) for b in range(_BANDS)], axis=1)
    return logs - logs.mean(axis=1, keepdims=True)


def _levels(images: ImageArray) -> FloatArray:
    """Return (N, 3) shares of pixels at either end, and of distinct values that are in use."""
    flat = images.reshape(len(images), -1)
    used = np.array([np.count_nonzero(np.bincount(row, minlength=256)) for row in flat]) / 256
    return np.stack([(flat == 0).mean(axis=1), (flat == 255).mean(axis=1), used], axis=1)
