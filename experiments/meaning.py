"""How tasks line up with human attributes, which were never given to what found them.

The attribute of a task is the one with the greatest balanced accuracy (BA), in either direction, on
images that discovery may see; its BA on the others is what is reported.

Axes: N images, n held-out images, D tasks, A attributes, B resamples, S statistics.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from experiments.attributes import ALIKE, correlation
from taskdiscovery.types import BoolArray, FloatArray, IntArray

#: the BA at which an attribute counts as reached.
REACHED = 0.8
_RESAMPLES = 2000


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """Tasks beside attributes.

    Attributes:
        chosen: the attribute of each task.
        right_nD: (n, D) whether a held-out image is on the side of its attribute.
        has_nD: (n, D) whether it has the attribute.
        ba_D: (D,) BA on held-out images.
        covered: attributes whose best task on images that discovery may see has a BA of `REACHED`
            on the others, whatever attribute that task fits best.
    """

    chosen: tuple[str, ...]
    right_nD: BoolArray
    has_nD: BoolArray
    ba_D: FloatArray
    covered: tuple[str, ...]

    @property
    def reached(self) -> tuple[str, ...]:
        """The attributes of tasks with a BA of `REACHED`; the surest first."""
        order = np.argsort(-self.ba_D, kind="stable")
        names = [self.chosen[d] for d in order if self.ba_D[d] >= REACHED]
        return tuple(dict.fromkeys(names))


def balanced_accuracies(tasks_ND: BoolArray, masks_NA: BoolArray) -> FloatArray:
    """Return (D, A): the mean of the shares that are right on either side; 0.5 without a side."""
    has_NA = masks_NA.astype(np.float64)
    count_A = has_NA.sum(axis=0)
    there_DA = tasks_ND.T.astype(np.float64) @ has_NA / np.maximum(count_A, 1)
    else_A = len(has_NA) - count_A
    not_DA = tasks_ND.T.astype(np.float64) @ (1 - has_NA) / np.maximum(else_A, 1)
    result_DA = (1 + there_DA - not_DA) / 2
    result_DA[:, (count_A == 0) | (else_A == 0)] = 0.5
    return result_DA


def judge(tasks_ND: BoolArray, masks: Mapping[str, BoolArray], seen_N: BoolArray) -> Judged:
    """Set tasks beside attributes.

    Args:
        tasks_ND: sides of all images.
        masks: by attribute, (N,) whether an image has it.
        seen_N: images on which attributes are chosen; BA is measured on the others.
    """
    names, masks_NA = list(masks), np.stack(list(masks.values()), axis=1)
    known_DA = balanced_accuracies(tasks_ND[seen_N], masks_NA[seen_N])
    held_DA = balanced_accuracies(tasks_ND[~seen_N], masks_NA[~seen_N])
    best_D = np.abs(known_DA - 0.5).argmax(axis=1)
    D = np.arange(len(best_D))
    turned_D = known_DA[D, best_D] < 0.5
    ba_D = np.where(turned_D, 1 - held_DA[D, best_D], held_DA[D, best_D])
    has_nD = masks_NA[~seen_N][:, best_D]
    right_nD = (tasks_ND[~seen_N] ^ turned_D) == has_nD
    covered = []
    for a, name in enumerate(names):
        d = int(np.abs(known_DA[:, a] - 0.5).argmax())
        value = 1 - held_DA[d, a] if known_DA[d, a] < 0.5 else held_DA[d, a]
        if value >= REACHED:
            covered.append((-value, name))
    return Judged(
        chosen=tuple(names[a] for a in best_D),
        right_nD=right_nD,
        has_nD=has_nD,
        ba_D=ba_D,
        covered=tuple(name for _, name in sorted(covered)),
    )


def distinct(names: Sequence[str], masks: Mapping[str, BoolArray]) -> list[str]:
    """Return attributes of which no two are more alike than `ALIKE`; the first come first."""
    kept: list[str] = []
    for name in names:
        if all(abs(correlation(masks[name], masks[other])) <= ALIKE for other in kept):
            kept.append(name)
    return kept


def renamed_accuracy(found_N: IntArray, truth_N: IntArray, seen_N: BoolArray) -> float:
    """Return the share of held-out images whose class is right after renaming.

    Each class that was found is given a true one, no two the same, so that most of the images that
    discovery may see are right.
    """
    K = int(max(found_N.max(), truth_N.max())) + 1
    table_KK = np.zeros((K, K), dtype=np.int64)
    np.add.at(table_KK, (found_N[seen_N], truth_N[seen_N]), 1)
    _, name_K = linear_sum_assignment(-table_KK)
    return float((name_K[found_N[~seen_N]] == truth_N[~seen_N]).mean())


def shuffled(masks: Mapping[str, BoolArray], seed: int) -> dict[str, BoolArray]:
    """Return the attributes of other images: all are permuted alike."""
    count = len(next(iter(masks.values())))
    order_N = np.random.default_rng(seed).permutation(count)
    return {name: mask_N[order_N] for name, mask_N in masks.items()}


def explained(tasks_ND: BoolArray, statistics_NS: FloatArray, seen_N: BoolArray) -> FloatArray:
    """Return (D,) the R² of tasks from image statistics and their squares, on held-out images.

    A line is fitted to images that discovery may see; below 0 it predicts worse than the mean.
    """
    mean_S = statistics_NS[seen_N].mean(axis=0)
    scale_S = np.maximum(statistics_NS[seen_N].std(axis=0), 1e-9)
    x_NS = np.clip((statistics_NS - mean_S) / scale_S, -5, 5)
    x_NS = np.concatenate([x_NS, x_NS**2, np.ones((len(x_NS), 1))], axis=1)
    y_ND = tasks_ND.astype(np.float64)
    weights_SD = np.linalg.lstsq(x_NS[seen_N], y_ND[seen_N], rcond=None)[0]
    left_nD = y_ND[~seen_N] - x_NS[~seen_N] @ weights_SD
    total_D = np.square(y_ND[~seen_N] - y_ND[~seen_N].mean(axis=0)).mean(axis=0)
    result_D: FloatArray = 1 - np.square(left_nD).mean(axis=0) / np.maximum(total_D, 1e-9)
    return result_D


def difference(ours: Sequence[Judged], theirs: Sequence[Judged], seed: int = 0) -> dict[str, float]:
    """Compare the mean BA of two ways to find tasks, seed by seed.

    Held-out images are resampled, the same for both ways, and the tasks of each way; the seeds are
    those there are.

    Returns:
        `mean`, `low` and `high` of the difference: the 95 % interval.
    """
    rng = np.random.default_rng(seed)
    drawn_B = np.zeros(_RESAMPLES)
    plain = []
    for a, b in zip(ours, theirs, strict=True):
        n = len(a.right_nD)
        weights_Bn = rng.multinomial(n, np.full(n, 1 / n), size=_RESAMPLES).astype(np.float64)
        drawn_B += _resampled(a, weights_Bn, rng) - _resampled(b, weights_Bn, rng)
        plain.append(float(a.ba_D.mean() - b.ba_D.mean()))
    low, high = np.quantile(drawn_B / len(plain), [0.025, 0.975])
    return {
        "mean": round(float(np.mean(plain)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _resampled(own: Judged, weights_Bn: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return (B,) mean BA of tasks drawn anew, on images drawn anew."""
    D = len(own.ba_D)
    has_nD, right_nD = own.has_nD.astype(np.float64), own.right_nD.astype(np.float64)
    with_BD = weights_Bn @ (has_nD * right_nD) / np.maximum(weights_Bn @ has_nD, 1e-9)
    without = weights_Bn @ (1 - has_nD)
    without_BD = weights_Bn @ ((1 - has_nD) * right_nD) / np.maximum(without, 1e-9)
    tasks_BD = rng.integers(D, size=(len(weights_Bn), D))
    result_B: FloatArray = np.take_along_axis((with_BD + without_BD) / 2, tasks_BD, axis=1).mean(1)
    return result_B
