"""How well some columns tell labelings: ridge, out of fold, calibrated.

All labelings of the same images are read at once: the ridge's matrix does not know them. Classes of
unequal size move only the offset of a ridge's score, which the calibration sets anew with both
classes weighing half.

Axes: N images, P columns, p of them, Y labelings, S strengths of the ridge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg, special

from taskdiscovery.types import BoolArray, Float32, FloatArray, IntArray

#: strengths of the ridge that are tried, as shares of the mean eigenvalue.
STRENGTHS = (3e-3, 3e-2, 3e-1)
_NEWTON, _LONGEST_STEP = 12, 2.0


@dataclass(frozen=True, eq=False, kw_only=True)
class Readings:
    """What some columns say of binary labelings, on images that they were not fitted to.

    Attributes:
        logits_NY: calibrated.
        scores_NY: before, of mean 0 and deviation 1.
        parts_NY: what those columns contribute that were asked for; empty where none were.
    """

    logits_NY: FloatArray
    scores_NY: FloatArray
    parts_NY: FloatArray

    def losses(self, labels_NY: BoolArray) -> FloatArray:
        """Return (N, Y) cross-entropy in nats, each class weighing half."""
        return losses(self.logits_NY, labels_NY)


class Reader:
    """Reads labelings from columns, always on the same folds.

    Args:
        columns_NP: standardized.
        folds: rows of each.
    """

    def __init__(self, columns_NP: Float32, folds: Sequence[IntArray]) -> None:
        self.columns_NP, self.folds = columns_NP, folds
        self._grams = [_gram(columns_NP[rows]) for rows in folds]
        self._sums = [columns_NP[rows].sum(axis=0, dtype=np.float64) for rows in folds]

    def read(
        self, chosen: IntArray, labels_NY: BoolArray, part: IntArray | None = None
    ) -> Readings:
        """Return what the columns say; the strength is the one of least loss, for each labeling.

        Args:
            chosen: (p,) columns.
            labels_NY: True for images of the class.
            part: those of `chosen` whose contribution is wanted.
        """
        asked = np.zeros(len(chosen), dtype=np.bool_) if part is None else np.isin(chosen, part)
        N, Y = labels_NY.shape
        scores_SNY, parts_SNY = (np.zeros((len(STRENGTHS), N, Y)) for _ in range(2))
        columns_Np = self.columns_NP[:, chosen]
        signs_NY = np.where(labels_NY, 1.0, -1.0)
        cross = [columns_Np[rows].T.astype(np.float64) @ signs_NY[rows] for rows in self.folds]
        grams = [gram[np.ix_(chosen, chosen)] for gram in self._grams]
        gram_pp = np.add.reduce(grams)
        cross_pY, sum_p = np.add.reduce(cross), np.add.reduce(self._sums)[chosen]
        for k, rows in enumerate(self.folds):
            count = N - len(rows)
            mean_p = (sum_p - self._sums[k][chosen]) / count
            rate_Y = (signs_NY.sum(axis=0) - signs_NY[rows].sum(axis=0)) / count
            own_pp = gram_pp - grams[k] - count * np.outer(mean_p, mean_p)
            right_pY = cross_pY - cross[k] - count * np.outer(mean_p, rate_Y)
            scale = max(float(np.trace(own_pp)) / len(chosen), 1e-9)
            few = count < len(chosen)
            if few:
                fit = np.setdiff1d(np.arange(N), rows)
                centred_np = columns_Np[fit] - mean_p
                own_nn, right_nY = centred_np @ centred_np.T, signs_NY[fit] - rate_Y
            for s, strength in enumerate(STRENGTHS):
                weights_pY = (
                    centred_np.T @ _solved(own_nn, strength * scale, right_nY)
                    if few
                    else _solved(own_pp, strength * scale, right_pY)
                )
                held_np = columns_Np[rows]
                scores_SNY[s, rows] = held_np @ weights_pY - mean_p @ weights_pY + rate_Y
                parts_SNY[s, rows] = (held_np[:, asked] - mean_p[asked]) @ weights_pY[asked]
        return _best(scores_SNY, parts_SNY, labels_NY)


def losses(logits_NY: FloatArray, labels_NY: BoolArray) -> FloatArray:
    """Return (N, Y) cross-entropy in nats, each class weighing half."""
    signs_NY = np.where(labels_NY, 1.0, -1.0)
    return np.asarray(np.logaddexp(0, -signs_NY * logits_NY) * _weights(labels_NY))


def skill(losses_NY: FloatArray) -> FloatArray:
    """Return (Y,) 1 minus the loss over that of a coin: 0 where columns tell nothing."""
    return np.asarray(1 - losses_NY.mean(axis=0) / np.log(2))


def _weights(labels_NY: BoolArray) -> FloatArray:
    """Return (N, Y) weights of mean 1, of which each class has half."""
    rate_Y = labels_NY.mean(axis=0)
    return np.asarray(np.where(labels_NY, 0.5 / rate_Y, 0.5 / (1 - rate_Y)))


def _gram(columns_nP: Float32) -> FloatArray:
    return (columns_nP.T @ columns_nP).astype(np.float64)


def _solved(gram_pp: FloatArray, strength: float, right_pY: FloatArray) -> FloatArray:
    regular_pp = gram_pp.copy()
    regular_pp[np.diag_indices_from(regular_pp)] += strength + 1e-9
    factor = linalg.cho_factor(regular_pp, lower=True, overwrite_a=True, check_finite=False)
    return np.asarray(linalg.cho_solve(factor, right_pY, check_finite=False))


def _best(scores_SNY: FloatArray, parts_SNY: FloatArray, labels_NY: BoolArray) -> Readings:
    """Calibrate each strength's scores; keep those of the least loss."""
    standard_SNY = scores_SNY - scores_SNY.mean(axis=1, keepdims=True)
    standard_SNY /= np.maximum(standard_SNY.std(axis=1, keepdims=True), 1e-12)
    logits_SNY = np.stack([calibrated(own_NY, labels_NY) for own_NY in standard_SNY])
    loss_SY = np.stack([losses(own_NY, labels_NY).mean(axis=0) for own_NY in logits_SNY])
    best_Y, every = loss_SY.argmin(axis=0), np.arange(labels_NY.shape[1])
    return Readings(
        logits_NY=logits_SNY[best_Y, :, every].T,
        scores_NY=standard_SNY[best_Y, :, every].T,
        parts_NY=parts_SNY[best_Y, :, every].T,
    )


def calibrated(scores_NY: FloatArray, labels_NY: BoolArray) -> FloatArray:
    """Return (N, Y) logits: slope (from 0 up) and offset fitted, both classes weighing half."""
    weights_NY = _weights(labels_NY) / len(labels_NY)
    slope_Y, offset_Y = np.full(scores_NY.shape[1], 0.5), np.zeros(scores_NY.shape[1])
    for _ in range(_NEWTON):
        share_NY = special.expit(slope_Y * scores_NY + offset_Y)
        error_NY = (share_NY - labels_NY) * weights_NY
        curve_NY = share_NY * (1 - share_NY) * weights_NY
        ga, gb = (error_NY * scores_NY).sum(axis=0), error_NY.sum(axis=0)
        haa = (curve_NY * scores_NY**2).sum(axis=0) + 1e-6
        hab, hbb = (curve_NY * scores_NY).sum(axis=0), curve_NY.sum(axis=0) + 1e-6
        inner = np.maximum(haa * hbb - hab**2, 1e-12)
        slope_Y = slope_Y - np.clip((hbb * ga - hab * gb) / inner, -_LONGEST_STEP, _LONGEST_STEP)
        offset_Y = offset_Y - np.clip((haa * gb - hab * ga) / inner, -_LONGEST_STEP, _LONGEST_STEP)
    # What tells the reverse of itself on other images tells nothing: a coin, of both classes alike.
    return np.asarray(np.where(slope_Y > 0, slope_Y * scores_NY + offset_Y, 0.0))
