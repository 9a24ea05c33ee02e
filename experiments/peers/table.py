"""The peers by name, and what each is given.

Axes: N images, P features, R reduced features, D tasks, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np

from experiments.peers import clusters, components, turtle
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.types import BoolArray, Float32, Matrix

COMPONENTS = 384


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """What a peer is given.

    Attributes:
        features_NP: of a frozen network.
        seen_N: images that discovery may see.
        classes: how many people named: TURTLE is told.
    """

    features_NP: Matrix
    seen_N: BoolArray
    classes: int

    @cached_property
    def reduced_NR(self) -> Float32:
        """What pursuit looks at."""
        rows = np.flatnonzero(self.seen_N)
        reduction = Reduction.measure(self.features_NP, rows, COMPONENTS)
        return reduction.apply(self.features_NP, np.arange(len(self.seen_N)))

    @cached_property
    def turned_NR(self) -> Float32:
        """What TURTLE looks at."""
        return turtle.prepared(self.features_NP, self.seen_N)


@dataclass(frozen=True, eq=False, kw_only=True)
class Found:
    """What a way to find tasks gives.

    Attributes:
        labels_ND: (N, D) sides of all images.
        numbers: what else is to be told of it.
    """

    labels_ND: BoolArray
    numbers: dict[str, float] = field(default_factory=dict)


Peer = Callable[[Table, int, int], Found]


def _components(which: str, cut: str, table: Table, D: int, seed: int) -> Found:
    z_ND = components.coordinates(which, table.reduced_NR, table.seen_N, D, seed)
    return Found(labels_ND=z_ND > components.thresholds(z_ND[table.seen_N], cut))


def _clusters(table: Table, D: int, seed: int) -> Found:
    return Found(labels_ND=clusters.against_the_rest(table.reduced_NR, table.seen_N, D, seed))


def _unions(table: Table, D: int, seed: int) -> Found:
    return Found(labels_ND=clusters.unions(table.reduced_NR, table.seen_N, D, seed))


def _turtle(table: Table, D: int, seed: int) -> Found:
    """One labeling of as many classes as people named, at most twice the tasks that are wanted.

    Each class against the rest is a task.
    """
    K = min(table.classes, 2 * D)
    found = turtle.fit(table.turned_NR[table.seen_N], K, [seed])
    labels_N = found.predict(table.turned_NR)[:, 0]
    numbers = {"classes": K, "steps": found.steps, "changed": round(found.changed, 4)}
    return Found(labels_ND=labels_N[:, None] == np.arange(K), numbers=numbers)


def _turtle_binary(table: Table, D: int, seed: int) -> Found:
    """As many labelings of two classes, from different seeds."""
    seeds = [1000 * seed + i for i in range(D)]
    found = turtle.fit(table.turned_NR[table.seen_N], 2, seeds)
    labels_ND = found.predict(table.turned_NR) == 1
    numbers = {"steps": found.steps, "changed": round(found.changed, 4)}
    return Found(labels_ND=labels_ND, numbers=numbers)


PEERS: dict[str, Peer] = {
    "k-means, one cluster against the rest": _clusters,
    "k-means, unions of clusters": _unions,
    "PCA, at the median": partial(_components, "pca", "median"),
    "PCA, at two means": partial(_components, "pca", "two means"),
    "ICA, at the median": partial(_components, "ica", "median"),
    "ICA, at two means": partial(_components, "ica", "two means"),
    "random directions, at the median": partial(_components, "random", "median"),
    "TURTLE, one class against the rest": _turtle,
    "TURTLE, two classes": _turtle_binary,
}
