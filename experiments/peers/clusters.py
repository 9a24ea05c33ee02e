"""Clusters of k-means as tasks.

Axes: N images, R reduced features, D tasks.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from taskdiscovery.types import BoolArray, Float32, IntArray

#: clusters that unions are drawn from.
OF_UNIONS = 12


def against_the_rest(table_NR: Float32, seen_N: BoolArray, D: int, seed: int) -> BoolArray:
    """Return (N, D): each of D clusters against the rest."""
    return labels(table_NR, seen_N, D, seed)[:, None] == np.arange(D)


def unions(table_NR: Float32, seen_N: BoolArray, D: int, seed: int) -> BoolArray:
    """Return (N, D): random halves of twelve clusters."""
    rng = np.random.default_rng(seed)
    own_N = labels(table_NR, seen_N, OF_UNIONS, seed)
    halves = [rng.permutation(OF_UNIONS) < OF_UNIONS // 2 for _ in range(D)]
    return np.stack([half[own_N] for half in halves], axis=1)


def labels(table_NR: Float32, seen_N: BoolArray, K: int, seed: int) -> IntArray:
    """Return (N,) clusters, fitted to images that discovery may see."""
    found = KMeans(K, n_init=3, random_state=seed).fit(table_NR[seen_N])
    return found.predict(table_NR).astype(np.int64)
