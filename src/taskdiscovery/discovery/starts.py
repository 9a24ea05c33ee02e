"""What pursuit begins with: clusters, their unions, random directions, and tasks of another run.

Axes: N rows, R reduced features, S starts.
"""

from __future__ import annotations

import warnings

import numpy as np

from taskdiscovery.discovery.tables import Prepared
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.types import Float32, IntArray

#: rows that clusters are found on.
_FEW = 8192
_WITHIN = (3, 6, 12, 24, 48)
_CLUSTERS = (6, 12, 24)


def starts(ready: Prepared, count: int) -> Float32:
    """Return (N, S) coordinates to begin with.

    Clusters, each against the rest; of what is left, a quarter random unions of clusters, and the
    others random directions within the top principal components, made white. The tasks of another
    run come beside them.

    Args:
        ready: the rows that are searched on.
        count: S, less the tasks of another run.
    """
    table_NR, seed = ready.blocks.table_NR, ready.problem.seed
    rng = generator(seed, "pursuit", "starts")
    clusters = [clustered(table_NR, k, derive(seed, "pursuit", k)) for k in _CLUSTERS]
    sides = [(own == k).astype(np.float32) for own in clusters for k in range(own.max() + 1)]
    sides = sides[:count]
    unions = (count - len(sides)) // 4
    for i in range(unions):
        own = clusters[i % len(clusters)]
        sides.append((rng.random(own.max() + 1) < 0.5)[own].astype(np.float32))
    parts = [np.stack(sides, axis=1), directions(table_NR, count - len(sides), rng)]
    if (warm := warm_labels(ready)) is not None:
        own_ND, classes = warm
        parts += [(own_ND == c).astype(np.float32) for c in range(min(classes, 2) - 1, classes)]
    return np.concatenate(parts, axis=1)


def warm_labels(ready: Prepared) -> tuple[IntArray, int] | None:
    """Return the (N, D) labels that the tasks of another run give the rows, and their classes."""
    problem = ready.problem
    if problem.warm is None:
        return None
    assert problem.features is not None
    assert isinstance(problem.warm, FeatureEncoder)  # Pursuit.check_warm refuses others
    order_N = np.argsort(problem.rows)
    labels_ND = problem.warm.predict(problem.features[problem.rows[order_N]])
    result_ND = np.empty_like(labels_ND)
    result_ND[order_N] = labels_ND
    return result_ND, problem.warm.classes


def directions(table_NR: Float32, count: int, rng: np.random.Generator) -> Float32:
    """Return (N, count) coordinates along random directions of the top components, made white."""
    within = [w for w in _WITHIN if w <= table_NR.shape[1]] or [table_NR.shape[1]]
    weights_RS = np.zeros((table_NR.shape[1], count), dtype=np.float32)
    for s in range(count):
        width = within[s % len(within)]
        weights_RS[:width, s] = rng.normal(size=width)
    scale_R = 1 / np.maximum(table_NR.std(axis=0), 1e-6)
    result_NS: Float32 = table_NR @ (scale_R[:, None] * weights_RS)
    return result_NS


def clustered(table_NR: Float32, k: int, seed: int) -> IntArray:
    """Return the (N,) clusters of the rows, found by k-means on some of them."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    few_nR = table_NR[np.linspace(0, len(table_NR) - 1, min(len(table_NR), _FEW)).astype(np.int64)]
    found = KMeans(min(k, len(few_nR)), n_init=1, max_iter=50, random_state=seed % 2**32)
    with warnings.catch_warnings():
        # Rows that are copies make fewer clusters: they are starts like others.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return found.fit(few_nR).predict(table_NR).astype(np.int64)
