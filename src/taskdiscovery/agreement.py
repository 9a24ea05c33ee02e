"""Predictions in, agreement out: the score, its interval, and the likeness of two tasks.

Axes: N images, K runs, C classes, D tasks. Pure functions of arrays, with no state and no torch.

Source: Atanov et al., "Task Discovery", NeurIPS 2022 (arXiv 2212.00261), section 2, for the score
and the similarity. The interval over images *and* runs, and kappa, are ours.

Still imperfect: with two runs the part of the variance that comes from runs cannot be estimated,
and the interval then covers images only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from taskdiscovery.types import FloatArray, IntArray, Interval
from taskdiscovery.types.similarity import similarity, similarity_matrix

__all__ = [
    "LEVEL",
    "Agreement",
    "agreement",
    "mean_over_runs",
    "similarity",
    "similarity_matrix",
]

LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How alike K runs predict.

    Attributes:
        interval: agreement score and its 95 % interval.
        chance: agreement expected from the class rates of the predictions alone.
        kappa: agreement above chance, as a share of what is possible; None where chance is 1.
        per_image: (N,) share of the pairs of runs that agree on each image.
    """

    interval: Interval
    chance: float
    kappa: float | None
    per_image: FloatArray


def agreement(
    predictions_KN: NDArray[np.integer], classes: int, groups_N: IntArray | None = None
) -> Agreement:
    """Score the agreement of K runs over all their K(K-1)/2 pairs.

    Args:
        predictions_KN: (K, N) predicted class indices in [0, classes), K >= 2; or (K, S, N), where
            each run was asked S times: every answer is then compared with every one of the other
            runs.
        classes: number of classes C.
        groups_N: (N,) number from 0 of the group of each image: images of one group count as one
            draw in the interval.

    Returns:
        The score with its interval, chance, kappa and the agreement on each image.

    Raises:
        ValueError: for fewer than two runs or no images.
    """
    K, N = len(predictions_KN), predictions_KN.shape[-1]
    if K < 2 or N < 1:
        raise ValueError(f"agreement needs at least two runs and one image, got K={K}, N={N}")
    answers_KSN = predictions_KN.reshape(K, -1, N)
    same_KN, rates_KC = np.zeros((K, N)), np.zeros((K, classes))
    for c in range(classes):
        share_KN = (answers_KSN == c).mean(axis=1)  # of a run's answers
        same_KN += share_KN * (share_KN.sum(axis=0) - share_KN)
        rates_KC[:, c] = share_KN.mean(axis=1)
    per_image_N = same_KN.sum(axis=0) / (K * (K - 1))

    score = float(per_image_N.mean())
    chance = _off_diagonal_mean(rates_KC @ rates_KC.T)
    kappa = None if chance > 1 - 1e-12 else (score - chance) / (1 - chance)
    pseudo_KN = None
    if K > 2:
        pseudo_KN = _jackknife_pseudo_values(per_image_N, same_KN)
    return Agreement(
        interval=_interval(score, per_image_N, pseudo_KN, groups_N),
        chance=chance,
        kappa=kappa,
        per_image=per_image_N,
    )


def mean_over_runs(
    correct_KN: NDArray[np.bool_] | FloatArray, groups_N: IntArray | None = None
) -> Interval:
    """Mean accuracy of K runs on N images, with an interval over both.

    Args:
        correct_KN: (K, N) True where a run is right, or weights of a mean there. Runs may be
            measured on different images, as long as each is measured on N of them; K >= 1.
        groups_N: (N,) number from 0 of the group of each image, as `agreement` takes it.

    Returns:
        Mean and 95 % interval; it covers images only where K is 1.
    """
    values_KN = correct_KN.astype(np.float64)
    per_image_N = values_KN.mean(axis=0)
    runs_KN = values_KN if len(values_KN) > 1 else None
    return _interval(float(per_image_N.mean()), per_image_N, runs_KN, groups_N)


def _jackknife_pseudo_values(per_image_N: FloatArray, same_KN: FloatArray) -> FloatArray:
    """What each run contributes on each image; the mean over runs is the per-image agreement.

    Args:
        per_image_N: share of agreeing pairs.
        same_KN: with how many of the other K - 1 runs a run agrees on an image.
    """
    K = len(same_KN)
    pairs = K * (K - 1) / 2
    without_run_KN = (per_image_N * pairs - same_KN) / ((K - 1) * (K - 2) / 2)
    return K * per_image_N - (K - 1) * without_run_KN


def _interval(
    mean: float,
    per_image_N: FloatArray,
    values_KN: FloatArray | None,
    groups_N: IntArray | None = None,
) -> Interval:
    """Combine the variance over images with the jackknife variance over runs.

    Images and runs are crossed, so the noise of one run on one image sits in both parts; it is
    taken off once, but the sum never falls below either part. Student's t takes Welch-Satterthwaite
    degrees of freedom over the untouched parts, never fewer than the runs give. Simulated with
    K = 3 to 5 runs that differ from not at all to wildly, this covers 93 to 97 % wherever runs
    differ, and up to 99 % where they differ by chance alone (`tests/test_agreement.py`).

    Two imagined images, one agreeing and one not, keep the first part from vanishing where all
    images agree, so that a perfect score does not claim to be certain.

    Args:
        mean: the estimate.
        per_image_N: mean over runs of each image's value.
        values_KN: each run's value on each image (the jackknife's pseudo-values for agreement),
            or None where runs are too few for their part.
        groups_N: (N,) numbers from 0; images of one group are one draw (cluster-robust variance).
    """
    N = len(per_image_N)
    draws = N if groups_N is None else int(groups_N.max()) + 1
    images = float(np.concatenate([per_image_N, [0.0, 1.0]]).var(ddof=1)) / N
    if groups_N is not None:
        imagined_N = np.append(groups_N, [draws, draws + 1])
        images = _clustered(np.append(per_image_N, [0.0, 1.0]), imagined_N) * (N + 2) / N
    variance, freedom = images, float(max(draws - 1, 1))
    if values_KN is not None:
        K = len(values_KN)
        runs = float(values_KN.mean(axis=1).var(ddof=1)) / K
        residual_KN = values_KN - values_KN.mean(axis=0) - values_KN.mean(axis=1, keepdims=True)
        crossed = float(residual_KN.var()) / (max(N - 1, 1) * (K - 1))
        if groups_N is not None:
            crossed = float(np.mean([_clustered(r_N, groups_N) for r_N in residual_KN])) / (K - 1)
        variance = max(images, runs, images + runs - crossed)
        welch = variance**2 / (images**2 / max(draws - 1, 1) + runs**2 / (K - 1))
        freedom = max(welch, K - 1.0)
    half = float(special.stdtrit(freedom, 0.5 + LEVEL / 2)) * variance**0.5
    return Interval(
        mean=float(mean),
        low=max(0.0, mean - half),
        high=min(1.0, mean + half),
        covers=("images" if groups_N is None else "groups") + " and runs" * (values_KN is not None),
    )


def _clustered(values_N: FloatArray, groups_N: IntArray) -> float:
    """Return the variance of the mean of N values whose groups are drawn, not the values."""
    sums_G = np.bincount(groups_N, weights=values_N - values_N.mean())
    G, N = len(sums_G), len(values_N)
    return float((sums_G**2).sum()) * G / max(G - 1, 1) / N**2


def _off_diagonal_mean(square_KK: FloatArray) -> float:
    K = len(square_KK)
    return float((square_KK.sum() - np.trace(square_KK)) / (K * (K - 1)))
