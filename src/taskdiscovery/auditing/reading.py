"""How well some columns tell a labeling: class-balanced ridge, out of fold, calibrated.

Axes: N images, P columns, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg, optimize, special

from taskdiscovery.data import partition
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Float32, FloatArray, IdArray, IntArray

FOLDS = 3
#: strengths of the ridge that are tried, as shares of the mean eigenvalue.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Reading:
    """What some columns say of a binary labeling, on images that they were not fitted to.

    Attributes:
        logits_N: calibrated.
        labels_N: 0 or 1.
        scores_N: before calibration, of mean 0 and deviation 1.
    """

    logits_N: FloatArray
    labels_N: IntArray
    scores_N: FloatArray

    @cached_property
    def losses_N(self) -> FloatArray:
        """(N,) cross-entropy in nats, each class weighing half."""
        sign_N = 2.0 * self.labels_N - 1
        share_N = np.where(self.labels_N == 1, self.labels_N.mean(), 1 - self.labels_N.mean())
        return np.asarray(np.logaddexp(0, -sign_N * self.logits_N) / (2 * share_N))

    @property
    def skill(self) -> float:
        """1 minus the loss over that of a coin: 0 where columns tell nothing."""
        return float(1 - self.losses_N.mean() / np.log(2))

    @property
    def right_N(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """(N,) whether the sign tells the class."""
        return (self.logits_N > 0) == (self.labels_N == 1)

    @property
    def accuracy(self) -> float:
        """The mean over both classes of how often the sign is right."""
        return float(np.mean([self.right_N[self.labels_N == c].mean() for c in (0, 1)]))


class Reader:
    """Reads labelings from columns, always on the same folds.

    Args:
        labels_N: 0 or 1.
        seed: decides the folds.
        groups: (N,) what lies in one fold together, or None.
    """

    def __init__(self, labels_N: IntArray, seed: int, groups: IdArray | None = None) -> None:
        self.labels_N = labels_N
        rng = generator(seed, "audit folds")
        self.folds: Sequence[IntArray]
        if groups is None:  # equal rates in all folds
            parts = [partition.cut(np.flatnonzero(labels_N == c), FOLDS, rng) for c in (0, 1)]
            self.folds = [np.sort(np.concatenate(own)) for own in zip(*parts, strict=True)]
        else:
            self.folds = [
                np.sort(own) for own in partition.cut(np.arange(len(labels_N)), FOLDS, rng, groups)
            ]

    def read(self, columns_NP: Float32) -> Reading:
        """Return what the columns say; the ridge's strength is the one of least loss."""
        x = np.asarray(columns_NP, dtype=np.float32)
        scores_SN = np.stack([self._out_of_fold(x, held) for held in self.folds]).sum(axis=0)
        readings = [self._calibrated(scores_N) for scores_N in scores_SN]
        return min(readings, key=lambda own: float(own.losses_N.mean()))

    def _out_of_fold(self, x_NP: Float32, held: IntArray) -> FloatArray:
        """Return (strengths, N) scores of the images held out; 0 elsewhere."""
        N, labels_N = len(x_NP), self.labels_N
        fit = np.setdiff1d(np.arange(N), held)
        mean, spread = x_NP[fit].mean(axis=0), x_NP[fit].std(axis=0)
        own_nP = (x_NP[fit] - mean) / np.maximum(spread, 1e-6)
        y_n = 2.0 * labels_N[fit] - 1
        weight_n = 0.5 / np.where(y_n > 0, (y_n > 0).sum(), (y_n < 0).sum())
        centre_P = weight_n @ own_nP
        own_nP = (own_nP - centre_P) * np.sqrt(weight_n)[:, None].astype(np.float32)
        gram_PP = (own_nP.T @ own_nP).astype(np.float64)
        cross_P = (own_nP.T @ (np.sqrt(weight_n) * y_n)).astype(np.float64)
        values_P, vectors_PP = linalg.eigh(gram_PP)
        values_P = np.maximum(values_P, 0)
        inner_P = vectors_PP.T @ cross_P
        held_nP = (x_NP[held] - mean) / np.maximum(spread, 1e-6) - centre_P
        turned_nP = np.clip(held_nP, -8, 8) @ vectors_PP
        result = np.zeros((len(STRENGTHS), N))
        for s, strength in enumerate(STRENGTHS):
            result[s, held] = turned_nP @ (
                inner_P / (values_P + strength * values_P.mean() + 1e-12)
            )
        return result

    def _calibrated(self, scores_N: FloatArray) -> Reading:
        """Fit slope and offset of the logit on the scores, both classes weighing half."""
        scores_N = (scores_N - scores_N.mean()) / max(float(scores_N.std()), 1e-12)
        y_N = self.labels_N.astype(np.float64)
        weight_N = 0.5 / np.where(y_N > 0, y_N.sum(), (1 - y_N).sum())

        def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
            z_N = parameters[0] * scores_N + parameters[1]
            error_N = (special.expit(z_N) - y_N) * weight_N
            value = float((weight_N * np.logaddexp(0, np.where(y_N > 0, -z_N, z_N))).sum())
            return value, np.array([error_N @ scores_N, error_N.sum()])

        found = optimize.minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B").x
        return Reading(
            logits_N=found[0] * scores_N + found[1], labels_N=self.labels_N, scores_N=scores_N
        )
