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


def image_statistics(images: ImageArray, rows: IntArray | None = None) -> pd.DataFrame:
    """Measure each image.

    Args:
        images: (N, H, W, channels) uint8; one or two channels count as grey.
        rows: which images; all by default.

    Returns:
        One row per image, in [0, 1]: `brightness` (mean of all pixels), `red`, `green`, `blue`
        (means of the channels), `contrast` (standard deviation of the grey image), `saturation`
        (mean over pixels of (max - min) / max over channels).
    """
    rows = np.arange(len(images)) if rows is None else rows
    blocks = [_measure(images[rows[i : i + 2000]]) for i in range(0, len(rows), 2000)]
    names = ("brightness", "red", "green", "blue", "contrast", "saturation")
    return pd.DataFrame(np.concatenate(blocks), columns=list(names))


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
    ]
    return np.stack(columns, axis=1).astype(np.float64)
