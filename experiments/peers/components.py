"""Coordinates of features, each cut in two.

Axes: N images, R reduced features, D tasks.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from taskdiscovery.types import BoolArray, Float32, FloatArray


def coordinates(which: str, table_NR: Float32, seen_N: BoolArray, D: int, seed: int) -> FloatArray:
    """Return (N, D) coordinates: `pca`, `ica` of as many components, or `random` directions."""
    if which == "pca":
        return table_NR[:, :D].astype(np.float64)
    if which == "random":
        return table_NR @ np.random.default_rng(seed).normal(size=(table_NR.shape[1], D))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica = FastICA(D, whiten="unit-variance", random_state=seed, max_iter=500)
        ica.fit(table_NR[seen_N].astype(np.float64))
    return ica.transform(table_NR.astype(np.float64))


def thresholds(z_nD: FloatArray, cut: str) -> FloatArray:
    """Return (D,) where coordinates are cut: at the `median`, or between their `two means`.

    Two means leave a tenth on either side at least, as pursuit does.
    """
    if cut == "median":
        return np.median(z_nD, axis=0)
    sorted_nD = np.sort(z_nD, axis=0)
    n = len(sorted_nD)
    below = np.arange(n // 10, n - n // 10)[:, None]  # so many lie below the cut
    sum_nD = np.cumsum(sorted_nD - sorted_nD.mean(axis=0), axis=0)
    between_KD = np.square(sum_nD[below[:, 0] - 1]) / (below * (n - below))
    cut_D = below[between_KD.argmax(axis=0), 0]
    D = np.arange(len(cut_D))
    result_D: FloatArray = (sorted_nD[cut_D - 1, D] + sorted_nD[cut_D, D]) / 2
    return result_D
