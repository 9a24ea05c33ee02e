"""Small images by which near copies are found: frames of a video, bursts, the same file again.

Axes: n images, T values of a thumbnail.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.types import Float32, FloatArray, ImageArray, IntArray

#: the side of a thumbnail.
SIDE = 8
#: two images are near copies where the cosine of their thumbnails is above the first; where such
#: pairs are a smaller share than the third of those above the second, the set is a continuum of
#: alike images (0.04 in `shapes`), and not bursts.
ALIKE, SIMILAR, CLUMPED = 0.99, 0.9, 0.1
#: by how much the mean brightness of near copies differs at most.
BRIGHTNESS = 0.1


def thumbnails(images: ImageArray, rows: IntArray) -> tuple[Float32, FloatArray]:
    """Return (n, T) contents of length 1 without their mean, and (n,) means in [0, 1]."""
    blocks, means = [], []
    sides = images.shape[1:3]
    cuts = [np.linspace(0, side, min(SIDE, side) + 1).astype(np.int64) for side in sides]
    for start in range(0, len(rows), 1000):
        small = images[rows[start : start + 1000]].astype(np.float32) / 255
        for axis, bounds in enumerate(cuts, 1):
            shape = [1, 1, 1, 1]
            shape[axis] = -1
            small = np.add.reduceat(small, bounds[:-1], axis=axis)
            small /= np.diff(bounds).reshape(shape).astype(np.float32)
        flat = small.reshape(len(small), -1)
        means.append(flat.mean(axis=1, dtype=np.float64))
        flat = flat - flat.mean(axis=1, keepdims=True)
        blocks.append(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6))
    return np.concatenate(blocks), np.concatenate(means)
