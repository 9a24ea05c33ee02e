"""Targets of a regression that stands for labels.

Axes: N training images, P coordinates.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.discovery import subspace
from taskdiscovery.types import Float32, Matrix


def soft_targets(coordinates_NP: Matrix) -> Float32:
    """Return tanh(2 Y), each column standardized. It pulls coordinates towards two values."""
    squashed_NP = np.tanh(2 * coordinates_NP).astype(np.float32)
    spread_P = np.sqrt(np.diag(subspace.covariance(squashed_NP)))
    squashed_NP -= subspace.mean(squashed_NP).astype(np.float32)
    squashed_NP /= np.maximum(spread_P, 1e-12).astype(np.float32)
    return squashed_NP
