"""Simple statistics of each image, as columns: what a shortcut is most often made of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from taskdiscovery.types import ImageArray, IntArray

#: names that `--exclude` knows, with the columns that each stands for.
GROUPS: dict[str, tuple[str, ...]] = {
    "brightness": ("brightness",),
    "colour": ("red", "green", "blue"),
    "contrast": ("contrast",),
    "saturation": ("saturation",),
}


NAMES: tuple[str, ...] = ("brightness", "red", "green", "blue", "contrast", "saturation")
NAMES += ("edges", "border", "sharpness", "slope")


def image_statistics(images: ImageArray, rows: IntArray | None = None) -> pd.DataFrame:
    """Measure each image.

    Args:
        images: (N, H, W, channels) uint8; one or two channels count as grey.
        rows: which images; all by default.

    Returns:
        One row per image, in [0, 1]: `brightness` (mean of all pixels), `red`, `green`, `blue`
        (means of the channels), `contrast` (standard deviation of the grey image), `saturation`
        (mean over pixels of (max - min) / max over channels), `edges` (share of pixels whose
        gradient exceeds a tenth), `border` (mean of the border minus that of the centre), and of
        other ranges `sharpness` (standard deviation of the Laplacian) and `slope` (of the log
        power spectrum over log frequency).
    """
    rows = np.arange(len(images)) if rows is None else rows
    blocks = [_measure(images[rows[i : i + 2000]]) for i in range(0, len(rows), 2000)]
    return pd.DataFrame(np.concatenate(blocks), columns=list(NAMES))


def _measure(block: ImageArray) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    x = block.astype(np.float32) / 255
    colour = x[..., :3] if x.shape[3] >= 3 else np.repeat(x[..., :1], 3, axis=3)
    grey = colour.mean(axis=3)
    most = colour.max(axis=3)
    saturation = (most - colour.min(axis=3)) / np.maximum(most, 1e-6)
    columns = [
        x.mean(axis=(1, 2, 3)),
        *(colour[..., c].mean(axis=(1, 2)) for c in range(3)),
        grey.std(axis=(1, 2)),
        saturation.mean(axis=(1, 2)),
        *_structure(grey),
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _structure(
    grey: np.ndarray[tuple[int, ...], np.dtype[np.float32]],
) -> list[np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Edges, border against centre, sharpness and spectral slope of (N, H, W) grey images."""
    _, H, W = grey.shape
    padded = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    right, left = padded[:, 1:-1, 2:], padded[:, 1:-1, :-2]
    below, above = padded[:, 2:, 1:-1], padded[:, :-2, 1:-1]
    gradient = np.hypot(right - left, below - above) / 2
    laplacian = right + left + below + above - 4 * grey
    inner = grey[:, H // 4 : H - H // 4, W // 4 : W - W // 4]
    rest = grey.sum(axis=(1, 2)) - inner.sum(axis=(1, 2))
    border = rest / max(1, H * W - inner[0].size) - inner.mean(axis=(1, 2))
    power = np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2
    frequency = np.hypot(np.fft.fftfreq(H)[:, None], np.fft.rfftfreq(W)[None, :])
    used = (frequency > 0) & (frequency <= 0.5)
    x = np.log(frequency[used])
    y = np.log(power[:, used] + 1e-8)
    x = x - x.mean()
    slope = (y - y.mean(axis=1, keepdims=True)) @ x / max(float((x**2).sum()), 1e-12)
    return [
        (gradient > 0.1).mean(axis=(1, 2)),
        border,
        laplacian.std(axis=(1, 2)),
        slope,
    ]
