"""Pursuit for tasks of more than two classes: fixed points of balanced soft labels.

Labels are replaced by what a ridge predicts of them on rows it has not seen, turned to soft labels
whose class rates are held near those before (Sinkhorn). A labeling is worth as much as two disjoint
parts of the rows agree on rows of neither, after the best renaming of classes and corrected for
chance: its stability. Measured for several numbers of classes it says how many there may be.

Axes: N rows, R reduced features, K classes, D tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from taskdiscovery.agreement import similarity
from taskdiscovery.discovery.blocks import Blocks, centre
from taskdiscovery.discovery.starts import clustered, warm_labels
from taskdiscovery.discovery.tables import Prepared
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.types import Float32, FloatArray, IntArray

#: soft labels are exp(score / this), scores having unit variance.
_TEMPERATURE = 0.3
#: rates of the classes are those before to this power: 0 makes them equal, 1 lets them go.
_RATES = 0.8
#: rounds at the end in which labels are hard.
_HARD = 3
_SWEEPS = 30
#: widths in principal components, made white, that k-means begins in; None is the table itself.
_SPACES = (None, None, None, 48, 24, 12)
#: a class that has a smaller share is lost.
_LOST = 0.005


@dataclass(frozen=True, eq=False, kw_only=True)
class Labels:
    """A fixed point.

    Attributes:
        labels_N: the class of each row.
        repeated: how often held-out predictions give the class again, corrected for chance.
    """

    labels_N: IntArray
    repeated: float


def settle(blocks: Blocks, labels_N: IntArray, classes: int, rounds: int, seed: int) -> Labels:
    """Iterate labels until they stay.

    Args:
        blocks: the rows.
        labels_N: to begin with.
        classes: K.
        rounds: how often labels are replaced.
        seed: draws the halves.
    """
    soft_NK = np.eye(classes, dtype=np.float32)[labels_N]
    repeated = 0.0
    for number in range(rounds + 1):
        targets_NK = soft_NK.copy()
        centre(targets_NK)
        scores_NK = blocks.held_out(targets_NK, generator(seed, "halves", number))
        scores_NK /= max(float(scores_NK.std()), 1e-12)
        rates_K = soft_NK.mean(axis=0, dtype=np.float64) ** _RATES
        before_N = soft_NK.argmax(axis=1)
        soft_NK = balanced(scores_NK, rates_K / rates_K.sum())
        if number >= rounds - _HARD:
            after_N = soft_NK.argmax(axis=1)
            repeated = _beyond_chance(before_N, after_N, classes)
            soft_NK = np.eye(classes, dtype=np.float32)[after_N]
    return Labels(labels_N=before_N, repeated=repeated)


def balanced(scores_NK: Float32, rates_K: FloatArray) -> Float32:
    """Return (N, K) soft labels whose classes have these rates (Sinkhorn and Knopp, 1967)."""
    soft_NK = np.exp((scores_NK - scores_NK.max(axis=1, keepdims=True)) / _TEMPERATURE)
    for _ in range(_SWEEPS):
        soft_NK *= rates_K * len(soft_NK) / np.maximum(soft_NK.sum(axis=0, dtype=np.float64), 1e-12)
        soft_NK /= soft_NK.sum(axis=1, keepdims=True)
    return soft_NK.astype(np.float32)


def begun(ready: Prepared, classes: int, count: int) -> Iterator[IntArray]:
    """Yield labels to begin with: tasks of another run, and clusters in several spaces."""
    table_NR, seed = ready.blocks.table_NR, ready.problem.seed
    warm = warm_labels(ready)
    if warm is not None and warm[1] == classes:
        yield from warm[0].T
    spread_R = np.maximum(table_NR.std(axis=0), 1e-6)
    for number in range(count):
        width = _SPACES[number % len(_SPACES)]
        space_NR = table_NR if width is None else table_NR[:, :width] / spread_R[:width]
        yield clustered(space_NR, classes, derive(seed, "k-way", classes, number))


def stability(ready: Prepared, labels_N: IntArray, classes: int, rounds: int) -> float:
    """Return how far two disjoint parts of the rows lead to the same labels of a third.

    Each part, two fifths of the rows, goes on from the labels by itself.

    Returns:
        Agreement after the best renaming of classes, corrected for chance.
    """
    found, blocks = [], ready.blocks
    parts, third = _parts(len(blocks.places))
    there_nR = blocks.part(third).table_NR
    for number, chosen in enumerate(parts):
        own_n = np.concatenate([labels_N[blocks.places[b]] for b in chosen])
        part = blocks.part(chosen)
        settled = settle(part, own_n, classes, rounds, derive(ready.problem.seed, "part", number))
        found.append(predicted(part, settled.labels_N, classes, there_nR))
    return renamed_agreement(found[0], found[1], classes)


def independent_stability(
    ready: Prepared, classes: int, count: int, rounds: int, repeat: int
) -> float:
    """Return the same of parts that know nothing of each other, each with its own best start."""
    found, blocks = [], ready.blocks
    order = generator(ready.problem.seed, "k-way parts", repeat).permutation(len(blocks.places))
    parts, third = _parts(len(order))
    there_nR = blocks.part(order[third]).table_NR
    for number, chosen in enumerate(parts):
        part = blocks.part(np.sort(order[chosen]))
        seeds = [derive(ready.problem.seed, "k", classes, repeat, number, i) for i in range(count)]
        settled = [
            settle(part, clustered(part.table_NR, classes, seed), classes, rounds, seed)
            for seed in seeds
        ]
        best = max(settled, key=lambda own: own.repeated)
        found.append(predicted(part, best.labels_N, classes, there_nR))
    return renamed_agreement(found[0], found[1], classes)


def predicted(blocks: Blocks, labels_N: IntArray, classes: int, table_MR: Float32) -> IntArray:
    """Return the (M,) classes that a ridge on labels gives other rows."""
    targets_NK = np.eye(classes, dtype=np.float32)[labels_N]
    rates_K = targets_NK.mean(axis=0, dtype=np.float64)
    centre(targets_NK)
    weights_RK = blocks.fit(targets_NK)
    offsets_K = offsets(blocks.predict(weights_RK), rates_K)
    return np.asarray((table_MR @ weights_RK + offsets_K).argmax(axis=1), dtype=np.int64)


def offsets(scores_NK: Float32, rates_K: FloatArray, sweeps: int = 50) -> FloatArray:
    """Return (K,) numbers, added to the scores, under which the classes have these rates."""
    offsets_K = np.zeros(len(rates_K))
    few = np.linspace(0, len(scores_NK) - 1, min(len(scores_NK), 100_000)).astype(np.int64)
    scores_nK = scores_NK[few].astype(np.float64)
    scale = float(scores_nK.std()) or 1.0
    for _ in range(sweeps):
        before_K = offsets_K.copy()
        for k, rate in enumerate(rates_K):
            others_n = np.delete(scores_nK + offsets_K, k, axis=1).max(axis=1)
            offsets_K[k] = -np.quantile(scores_nK[:, k] - others_n, 1 - rate)
        offsets_K -= offsets_K.mean()
        if np.abs(offsets_K - before_K).max() < 1e-6 * scale:
            break
    return offsets_K


def renamed_agreement(a_N: IntArray, b_N: IntArray, classes: int) -> float:
    """Return how often labels agree after the best renaming; 1 is always, 0 is as by chance."""
    rng = np.random.default_rng(0)
    chance = float(np.mean([similarity(a_N, rng.permutation(b_N), classes) for _ in range(3)]))
    return (similarity(a_N, b_N, classes) - chance) / max(1 - chance, 1e-9)


def has_all(labels_N: IntArray, classes: int) -> bool:
    """Say whether every class has some share of the rows."""
    return bool(np.bincount(labels_N, minlength=classes).min() >= _LOST * len(labels_N))


def _beyond_chance(a_N: IntArray, b_N: IntArray, classes: int) -> float:
    p_K = np.bincount(a_N, minlength=classes) / len(a_N)
    q_K = np.bincount(b_N, minlength=classes) / len(b_N)
    chance = float(p_K @ q_K)
    return (float((a_N == b_N).mean()) - chance) / max(1 - chance, 1e-9)


def _parts(count: int) -> tuple[list[IntArray], IntArray]:
    """Return two disjoint parts of so many blocks, and the blocks of neither."""
    size = 2 * count // 5
    places = np.arange(count)
    return [places[:size], places[size : 2 * size]], places[2 * size :]
