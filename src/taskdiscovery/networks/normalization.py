"""Pixel normalization: per-channel mean and deviation, measured on training images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskdiscovery.types import ImageArray, IntArray, Matrix


@dataclass(frozen=True)
class Normalization:
    """Per-channel mean and standard deviation of pixel values, in 0 to 255, or of features."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def none(cls, channels: int) -> Normalization:
        """Return one that leaves pixels as they are."""
        return cls((0.0,) * channels, (1.0,) * channels)

    @classmethod
    def measure(
        cls, images: Matrix | ImageArray, rows: IntArray, at_most: int = 10_000
    ) -> Normalization:
        """Measure it on evenly chosen rows; a constant channel gets a deviation of 1."""
        chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), at_most)).astype(np.int64)]
        sums, squares, count = 0.0, 0.0, 0
        for start in range(0, len(chosen), 1000):
            block = images[chosen[start : start + 1000]].astype(np.float64)
            sums = sums + block.sum(axis=(0, 1, 2))
            squares = squares + (block**2).sum(axis=(0, 1, 2))
            count += block.shape[0] * block.shape[1] * block.shape[2]
        mean = np.asarray(sums) / count
        std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0))
        return cls(tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist()))
