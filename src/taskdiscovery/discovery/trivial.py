"""How much of a task is told by the simplest that images show: brightness, colour, contrast, edges.

Axes: N training images, D tasks.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.types import Float32, FloatArray

#: images that are looked at.
_FEW = 2048
#: pixels of a side, below which there is nothing to see.
_SMALLEST = 8


def explained_by_statistics(problem: Problem, coordinates_ND: Float32) -> FloatArray | None:
    """Return (D,) R² of coordinates from image statistics, on some of the training images.

    Args:
        problem: its rows are those of the coordinates.
        coordinates_ND: of the training images.

    Returns:
        None where there are no images, or too small ones.
    """
    dataset, N = problem.workbench.dataset, len(problem.rows)
    if not dataset.has_images or min(dataset.image_shape[:2]) < _SMALLEST:
        return None
    few = np.linspace(0, N - 1, min(N, _FEW)).astype(np.int64)
    statistics = image_statistics(dataset.images[problem.rows[few]]).to_numpy(dtype=np.float64)
    # Of few images the columns explain something by chance: that much is taken off (adjusted R²).
    free = len(few) - 1 - statistics.shape[1]
    explained_D = subspace.explained(coordinates_ND[few].astype(np.float64), statistics)
    return np.maximum(0.0, 1 - (1 - explained_D) * (len(few) - 1) / max(free, 1))
