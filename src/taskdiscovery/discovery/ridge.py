"""Linear learners in closed form: features made comparable, and ridge regression by blocks.

Rows fall into random blocks whose Gram matrices are taken once. A fold is a union of blocks, so
that folds can be drawn anew at the cost of a product with the targets and one small solve.

Axes: N rows, P features, R reduced features, S targets, B blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg

from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix

_BLOCK = 8192
#: strengths of a ridge that are tried.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: rows of features shorter than this have no direction.
_TINY = 1e-12


def unit_rows(features_NP: Matrix) -> Float32:
    """Return features scaled to length 1, row by row, in float32."""
    rows_NP = np.asarray(features_NP, dtype=np.float32)
    length_N = np.sqrt(np.einsum("np,np->n", rows_NP, rows_NP, dtype=np.float64))
    result: Float32 = rows_NP / np.maximum(length_N, _TINY).astype(np.float32)[:, None]
    return result


def chunks(rows_N: IntArray) -> Iterator[IntArray]:
    """Walk through rows, a few megabytes at a time."""
    for start in range(0, len(rows_N), _BLOCK):
        yield rows_N[start : start + _BLOCK]


@dataclass(frozen=True, eq=False, kw_only=True)
class Reduction:
    """Features scaled to length 1, standardized, and turned to their principal components.

    Components keep their variances: a ridge then leans on the large ones.

    Attributes:
        mean_P: subtracted from features of length 1.
        matrix_PR: what they are multiplied by.
    """

    mean_P: FloatArray
    matrix_PR: FloatArray

    @classmethod
    def measure(cls, features_NP: Matrix, rows_N: IntArray, most: int) -> Reduction:
        """Measure it on some rows.

        Args:
            features_NP: (all rows, P), maybe memory-mapped: it is walked through once.
            rows_N: the rows that may be looked at.
            most: R at most.
        """
        P = features_NP.shape[1]
        sum_P, squares_PP = np.zeros(P), np.zeros((P, P))
        shift_P = unit_rows(features_NP[rows_N[:_BLOCK]]).mean(axis=0)  # float32 keeps its digits
        for rows in chunks(rows_N):
            x_nP = unit_rows(features_NP[rows]) - shift_P
            sum_P += x_nP.sum(axis=0, dtype=np.float64)
            squares_PP += x_nP.T @ x_nP
        mean_P = sum_P / len(rows_N)
        covariance_PP = squares_PP / len(rows_N) - np.outer(mean_P, mean_P)
        spread_P = np.sqrt(np.maximum(np.diag(covariance_PP), 0.0))
        scale_P = np.where(spread_P > 1e-9, 1 / np.maximum(spread_P, 1e-9), 0.0)
        correlation_PP = covariance_PP * np.outer(scale_P, scale_P)
        R = min(most, P)
        _, vectors_PR = linalg.eigh(correlation_PP, subset_by_index=[P - R, P - 1])
        vectors_PR = vectors_PR[:, ::-1]
        # An eigenvector may have either sign: the largest entry decides.
        signs_R = np.sign(vectors_PR[np.abs(vectors_PR).argmax(axis=0), np.arange(R)])
        return cls(mean_P=mean_P + shift_P, matrix_PR=scale_P[:, None] * vectors_PR * signs_R)

    def apply(self, features_NP: Matrix, rows_N: IntArray) -> Float32:
        """Return the (n, R) reduced features of some rows."""
        result_nR = np.empty((len(rows_N), self.matrix_PR.shape[1]), dtype=np.float32)
        mean_P, matrix_PR = self.mean_P.astype(np.float32), self.matrix_PR.astype(np.float32)
        done = 0
        for rows in chunks(rows_N):
            result_nR[done : done + len(rows)] = (unit_rows(features_NP[rows]) - mean_P) @ matrix_PR
            done += len(rows)
        return result_nR


def solve(gram_RR: FloatArray, cross_RS: FloatArray, rows: int, strength: float) -> FloatArray:
    """Return the (R, S) weights of a ridge: (XᵀX + λ n I)⁻¹ XᵀT.

    Args:
        gram_RR: XᵀX.
        cross_RS: XᵀT.
        rows: n.
        strength: λ.
    """
    penalized_RR = gram_RR + strength * rows * np.eye(len(gram_RR))
    weights_RS: FloatArray = linalg.solve(penalized_RR, cross_RS, assume_a="pos")
    return weights_RS


class Blocks:
    """Rows in random blocks, and ridges that are fitted to some blocks and predict the others.

    Args:
        table_NR: centred; the rows of a block lie together.
        count: B.
        strength: λ of every ridge.

    Raises:
        ValueError: where there are fewer rows than blocks.
    """

    def __init__(self, table_NR: Float32, count: int, strength: float) -> None:
        if len(table_NR) < count:
            raise ValueError(f"{len(table_NR)} rows do not fill {count} blocks")
        self.table_NR, self.strength = table_NR, strength
        bounds = np.linspace(0, len(table_NR), count + 1).astype(int)
        self.places = [slice(a, b) for a, b in pairwise(bounds.tolist())]
        self.grams = [(table_NR[own].T @ table_NR[own]).astype(np.float64) for own in self.places]

    def held_out(self, targets_NS: Float32, rng: np.random.Generator) -> Float32:
        """Predict each half of the blocks by a ridge that is fitted to the other.

        Args:
            targets_NS: (N, S), centred.
            rng: draws the halves.

        Returns:
            (N, S) predictions, centred within each half.
        """
        order = rng.permutation(len(self.places))
        cross = [(self.table_NR[own].T @ targets_NS[own]).astype(np.float64) for own in self.places]
        result_NS = np.empty_like(targets_NS)
        halves = np.array_split(order, 2)
        for fitted, predicted in (halves, halves[::-1]):
            weights_RS = self._weights(cross, fitted)
            total_S = np.zeros(targets_NS.shape[1])
            for b in predicted:
                own = self.places[b]
                result_NS[own] = self.table_NR[own] @ weights_RS
                total_S += result_NS[own].sum(axis=0, dtype=np.float64)
            mean_S = (total_S / self._rows(predicted)).astype(np.float32)
            for b in predicted:
                result_NS[self.places[b]] -= mean_S
        return result_NS

    def _weights(self, cross: list[FloatArray], chosen: IntArray) -> Float32:
        gram_RR = np.sum([self.grams[b] for b in chosen], axis=0)
        cross_RS = np.sum([cross[b] for b in chosen], axis=0)
        weights_RS = solve(gram_RR, cross_RS, self._rows(chosen), self.strength)
        return weights_RS.astype(np.float32)

    def _rows(self, chosen: IntArray) -> int:
        return sum(self.places[b].stop - self.places[b].start for b in chosen)


class Classifier:
    """A ridge to the classes of a labeling, whose strength is chosen by leaving one row out.

    It is prepared for its rows once, whatever is learnt on them.

    Args:
        table_NR: the rows it is fitted to.
    """

    def __init__(self, table_NR: Float32) -> None:
        self.mean_R = table_NR.mean(axis=0, dtype=np.float64)
        x_NR = table_NR.astype(np.float64) - self.mean_R
        self.eigenvalues_R, self.vectors_RR = linalg.eigh(x_NR.T @ x_NR)
        self.turned_NR = x_NR @ self.vectors_RR

    def predict(self, labels_N: IntArray, classes: int, table_MR: Float32) -> IntArray:
        """Fit it to (N,) classes, and return the (M,) classes of other rows.

        Args:
            labels_N: class indices below `classes`.
            classes: how many there are.
            table_MR: the rows whose classes are wanted.
        """
        targets_NC = np.eye(classes)[labels_N]
        share_C = targets_NC.mean(axis=0)
        targets_NC -= share_C
        cross_RC = self.turned_NR.T @ targets_NC
        best_RC, least = cross_RC, np.inf
        for strength in STRENGTHS:
            shrunk_R = 1 / (np.maximum(self.eigenvalues_R, 0) + strength * len(labels_N))
            weights_RC = shrunk_R[:, None] * cross_RC
            leverage_N = np.square(self.turned_NR) @ shrunk_R + 1 / len(labels_N)
            left_NC = targets_NC - self.turned_NR @ weights_RC
            error = float(np.square(left_NC / (1 - leverage_N)[:, None]).mean())
            if error < least:
                best_RC, least = weights_RC, error
        scores_MC = (table_MR - self.mean_R) @ (self.vectors_RR @ best_RC) + share_C
        return np.asarray(scores_MC.argmax(axis=1), dtype=np.int64)
