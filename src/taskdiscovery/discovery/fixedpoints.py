"""The search of `pursuit`: starts, fixed points of learning, the choice among them, the encoder.

Axes: N training images (those of the sample first), P features, R reduced features, S starts,
D tasks.
"""

from __future__ import annotations

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from taskdiscovery.discovery.modes import Modes, distinct, modes
from taskdiscovery.discovery.problem import Found, Problem
from taskdiscovery.discovery.pursuit_options import PursuitOptions
from taskdiscovery.discovery.ridge import Blocks, Reduction, chunks, solve
from taskdiscovery.discovery.subspace import column_correlations
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.errors import NumericalError
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix

BLOCKS = 10
#: rounds at the end in which labels are signs, no longer squashed coordinates.
_SIGNS = 3
#: starts that are iterated side by side.
_GROUP = 64
#: rows that thresholds are found on, until the last.
_FEW = 8192
_WITHIN = (3, 6, 12, 24, 48)
_CLUSTERS = (6, 12, 24)


def search(problem: Problem, options: PursuitOptions) -> Found:
    """Find tasks on features.

    Args:
        problem: with features.
        options: of the method.

    Raises:
        NumericalError: where no labeling falls in two.
    """
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        return _search(problem, options)


def _search(problem: Problem, options: PursuitOptions) -> Found:
    features, rows = problem.features, problem.rows
    assert features is not None
    rng = generator(problem.seed, "pursuit", "rows")
    sample = rng.permutation(rows)[: options.sample]
    reduction = Reduction.measure(features, np.sort(rows), options.components)
    table_NR = reduction.apply(features, sample)
    table_NR -= table_NR.mean(axis=0, dtype=np.float64).astype(np.float32)
    blocks = Blocks(table_NR, BLOCKS, options.ridge)
    least = options.bimodality
    with problem.workbench.callbacks.stage("pursuit", options.starts) as meter:
        z_NS = _starts(table_NR, options.starts, problem.seed)
        for first in range(0, options.starts, _GROUP):
            own = slice(first, first + _GROUP)
            z_NS[:, own] = _settled(blocks, z_NS[:, own], options, problem.seed)
            meter.advance(min(_GROUP, options.starts - first))
        if least is None:
            least = _by_chance(table_NR, options, problem.seed)
    found = modes(z_NS)
    sides_NS = z_NS > found.threshold_S.astype(np.float32)
    chosen = distinct(sides_NS, found.bimodality_S, options.cap, least, problem.tasks)
    if not len(chosen):
        raise NumericalError(
            f"no labeling falls in two: the share of variance between the sides is "
            f"{found.bimodality_S.max():.3f} at most, and {least:.3f} is wanted",
            where="--method pursuit",
            hint="give more images or other features, or lower --bimodality",
        )
    targets_ND = _signs(z_NS[:, chosen], found.threshold_S[chosen])
    again_ND = blocks.held_out(targets_ND, generator(problem.seed, "pursuit", "halves"))
    rough_RD = solve(
        np.sum(blocks.grams, axis=0),
        (table_NR.T @ targets_ND).astype(np.float64),
        len(sample),
        options.ridge,
    )
    encoder = _fitted(problem, features, reduction, rough_RD, options.ridge)
    outputs = encoder.transform(features)
    return Found(
        encoder=encoder,
        outputs=outputs,
        quality={
            "bimodality": found.bimodality_S[chosen],
            "crossfit_correlation": column_correlations(again_ND, targets_ND),
        },
        numbers={
            "learner": "ridge",
            "features": _described(problem, features),
            "pursuit": {
                "sample": len(sample),
                "components": table_NR.shape[1],
                "least_bimodality": round(float(least), 4),
            },
        },
    )


def _described(problem: Problem, features: Matrix) -> dict[str, object]:
    backbone = problem.workbench.dataset.backbone
    return {
        "width": int(features.shape[1]),
        "backbone": None if backbone is None else backbone.to_json(),
    }


def _starts(table_NR: Float32, count: int, seed: int) -> Float32:
    """Return (N, S) coordinates to begin with.

    Clusters, each against the rest; of what is left, a quarter random unions of clusters, and the
    others random directions within the top principal components, made white.
    """
    rng = generator(seed, "pursuit", "starts")
    clusters = _clusters(table_NR, seed)
    sides = [(own == k).astype(np.float32) for own in clusters for k in range(own.max() + 1)]
    sides = sides[:count]
    unions = (count - len(sides)) // 4
    for i in range(unions):
        own = clusters[i % len(clusters)]
        sides.append((rng.random(own.max() + 1) < 0.5)[own].astype(np.float32))
    directions_NS = _directions(table_NR, count - len(sides), rng)
    return np.concatenate([np.stack(sides, axis=1), directions_NS], axis=1)


def _directions(table_NR: Float32, count: int, rng: np.random.Generator) -> Float32:
    """Return (N, count) coordinates along random directions of the top components, made white."""
    within = [w for w in _WITHIN if w <= table_NR.shape[1]] or [table_NR.shape[1]]
    weights_RS = np.zeros((table_NR.shape[1], count), dtype=np.float32)
    for s in range(count):
        width = within[s % len(within)]
        weights_RS[:width, s] = rng.normal(size=width)
    scale_R = 1 / np.maximum(table_NR.std(axis=0), 1e-6)
    result_NS: Float32 = table_NR @ (scale_R[:, None] * weights_RS)
    return result_NS


def _clusters(table_NR: Float32, seed: int) -> list[IntArray]:
    """Return (N,) clusters of the rows for each number of clusters."""
    from sklearn.cluster import KMeans

    few = table_NR[:_FEW]
    found = []
    for k in _CLUSTERS:
        own = KMeans(k, n_init=1, max_iter=50, random_state=derive(seed, "pursuit", k) % 2**32)
        found.append(own.fit(few).predict(table_NR).astype(np.int64))
    return found


def _settled(blocks: Blocks, start_NS: Float32, options: PursuitOptions, seed: int) -> Float32:
    """Replace labels by what a ridge predicts of them on rows it has not seen, again and again."""
    z_NS = start_NS
    for number in range(options.rounds):
        found = modes(z_NS, _FEW)
        if number < options.rounds - _SIGNS:
            targets_NS = _squashed(z_NS, found)
        else:
            targets_NS = _signs(z_NS, found.threshold_S)
        rng = generator(seed, "pursuit", "halves", number)
        z_NS = blocks.held_out(targets_NS, rng)
    return z_NS


def _by_chance(table_NR: Float32, options: PursuitOptions, seed: int) -> float:
    """Return the J that a labeling must have to say more than the same search finds in noise.

    Fixed points are chosen to fall in two, so that they do on Gaussian features, too: by 0.7 to
    0.75 in place of 2/π on some thousand rows. Starts of one table end within a narrow range; the
    margin is twice that from their median to their greatest.
    """
    rng = generator(seed, "pursuit", "noise")
    spread_R = table_NR.std(axis=0)
    noise_NR = _centred(rng.standard_normal(table_NR.shape, dtype=np.float32) * spread_R)
    blocks = Blocks(noise_NR, BLOCKS, options.ridge)
    starts_NS = _directions(noise_NR, _GROUP, rng)
    found_S = modes(_settled(blocks, starts_NS, options, seed)).bimodality_S
    return float(found_S.max() + 2 * (found_S.max() - np.median(found_S)))


def _squashed(z_NS: Float32, found: Modes) -> Float32:
    squashed_NS = np.tanh(
        (z_NS - found.threshold_S.astype(np.float32)) * (2 / found.spread_S).astype(np.float32)
    )
    return _centred(squashed_NS)


def _signs(z_NS: Float32, threshold_S: FloatArray) -> Float32:
    return _centred(np.where(z_NS > threshold_S.astype(np.float32), 1, -1).astype(np.float32))


def _centred(table_NS: Float32) -> Float32:
    table_NS -= table_NS.mean(axis=0, dtype=np.float64).astype(np.float32)
    return table_NS


def _fitted(
    problem: Problem,
    features: Matrix,
    reduction: Reduction,
    rough_RD: FloatArray,
    strength: float,
) -> FeatureEncoder:
    """Fit the encoder to all training images, walking through their features.

    The labels are those of weights that were fitted to the sample; one more ridge on all images
    gives the weights, and its predictions the thresholds.
    """
    rows = np.sort(problem.rows)
    rough_ND = _predicted(features, reduction, rough_RD, rows)
    threshold_D = modes(rough_ND).threshold_S
    targets_ND = _signs(rough_ND, threshold_D)
    R, D = rough_RD.shape
    gram_RR, cross_RD, sum_R = np.zeros((R, R)), np.zeros((R, D)), np.zeros(R)
    done = 0
    for own in chunks(rows):
        x_nR = reduction.apply(features, own)
        sum_R += x_nR.sum(axis=0, dtype=np.float64)
        gram_RR += x_nR.T @ x_nR
        cross_RD += x_nR.T @ targets_ND[done : done + len(own)]
        done += len(own)
    gram_RR -= np.outer(sum_R, sum_R) / len(rows)
    weights_RD = solve(gram_RR, cross_RD, len(rows), strength)
    final = modes(_predicted(features, reduction, weights_RD, rows))
    weights_PD = reduction.matrix_PR @ weights_RD / final.spread_S
    return FeatureEncoder(
        names=tuple(f"task_{d:03d}" for d in range(D)),
        weights_PD=weights_PD,
        offset_D=reduction.mean_P @ weights_PD + final.threshold_S / final.spread_S,
        backbone=problem.workbench.dataset.backbone,
    )


def _predicted(
    features: Matrix, reduction: Reduction, weights_RD: FloatArray, rows: IntArray
) -> Float32:
    """Return the (n, D) predictions of a ridge for some rows."""
    weights = weights_RD.astype(np.float32)
    return np.concatenate([reduction.apply(features, own) @ weights for own in chunks(rows)])
