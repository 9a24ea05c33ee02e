"""From coordinates to classes: a sign for binary tasks, the nearest simplex corner for others.

Axes: N images, D tasks, C classes; a task has C - 1 coordinates.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from taskdiscovery.types import Float32, FloatArray, IntArray


def task_columns(tasks: list[int], classes: int) -> list[int]:
    """Which coordinates belong to these tasks."""
    return [d * (classes - 1) + j for d in tasks for j in range(classes - 1)]


def class_scores(coordinates: Float32, task: int, classes: int) -> FloatArray:
    """Return (N, C) scores of one task's classes: its coordinates on the simplex directions."""
    own = coordinates[:, task_columns([task], classes)].astype(np.float64)
    return own @ simplex(classes).T


def balance(outputs: Float32, classes: int) -> tuple[Float32, Float32]:
    """Find the centre and the offsets under which every task has equal class rates.

    Args:
        outputs: (N, D * (C - 1)) of the training images.
        classes: C.

    Returns:
        centre (D * (C - 1),), to be subtracted: the median for binary tasks, else the mean; and
        offsets (D, C), to be added to the class scores.
    """
    D = outputs.shape[1] // (classes - 1)
    if classes == 2:
        return np.median(outputs, axis=0).astype(np.float32), np.zeros((D, 2), dtype=np.float32)
    centre = outputs.mean(axis=0).astype(np.float32)
    offsets = [balanced_offsets(class_scores(outputs - centre, d, classes)) for d in range(D)]
    return centre, np.stack(offsets).astype(np.float32)


def classify(coordinates: Float32, offsets: Float32, classes: int) -> IntArray:
    """Turn centred (N, D * (C - 1)) coordinates into (N, D) classes."""
    if classes == 2:
        return (coordinates > 0).astype(np.int64)
    columns = [
        (class_scores(coordinates, d, classes) + offsets[d]).argmax(axis=1)
        for d in range(len(offsets))
    ]
    return np.stack(columns, axis=1)


def simplex(classes: int) -> FloatArray:
    """Return (C, C - 1) unit vectors at equal angles; for two classes these are -1 and +1."""
    if classes == 2:
        return np.array([[-1.0], [1.0]])
    corners = np.eye(classes) - 1.0 / classes
    basis = linalg.helmert(classes)
    vectors = corners @ basis.T
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def balanced_offsets(scores_NC: FloatArray, sweeps: int = 50) -> FloatArray:
    """Return (C,) offsets under which the argmax of `scores + offsets` gives equal class rates.

    Each sweep sets one offset after another so that its class wins exactly N/C images against
    the others as they stand; it settles because every step raises a concave dual objective.
    """
    C = scores_NC.shape[1]
    offsets_C = np.zeros(C)
    for _ in range(sweeps):
        before_C = offsets_C.copy()
        for c in range(C):
            others_NC = np.delete(scores_NC + offsets_C, c, axis=1)
            lead_N = scores_NC[:, c] - others_NC.max(axis=1)
            offsets_C[c] = -np.quantile(lead_N, 1 - 1 / C)
        offsets_C -= offsets_C.mean()
        if np.abs(offsets_C - before_C).max() < 1e-7:
            break
    return offsets_C
