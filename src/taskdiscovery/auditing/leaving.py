"""A linear learner of classes that is asked about images which were left out of its training.

A ridge in closed form: leaving images out takes their products off, so that each question costs
one small solve.

Axes: N images, R reduced features and a constant, K classes, m images that are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg

from taskdiscovery.types import BoolArray, Float32, FloatArray, IntArray

#: images of a class that must be left to train on.
LEAST = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Leaving:
    """Images to train on, and to leave out.

    Attributes:
        table_NR: reduced features, the last column a constant.
        labels_N: classes.
        classes: K.
        folds_N: the part of each image, in which it is asked about; what belongs together lies in
            one.
        groups_N: number from 0 of what each image belongs together with, or None.
        strength: λ of the ridge.
    """

    table_NR: FloatArray
    labels_N: IntArray
    classes: int
    folds_N: IntArray
    groups_N: IntArray | None
    strength: float

    @classmethod
    def chosen(
        cls,
        features_NR: Float32,
        labels_N: IntArray,
        folds_N: IntArray,
        groups_N: IntArray | None,
        strengths: tuple[float, ...],
    ) -> Leaving:
        """Take the strength that predicts the parts best that a ridge is not fitted to.

        Args:
            features_NR: reduced features.
            labels_N: classes from 0.
            folds_N: as above.
            groups_N: as above.
            strengths: that are tried.
        """
        constant_N1 = np.ones((len(labels_N), 1))
        table_NR = np.hstack([features_NR.astype(np.float64), constant_N1])
        tried = (
            cls(
                table_NR=table_NR,
                labels_N=labels_N,
                classes=int(labels_N.max()) + 1,
                folds_N=folds_N,
                groups_N=groups_N,
                strength=strength,
            )
            for strength in strengths
        )
        return min(tried, key=lambda own: own.error)

    @cached_property
    def _wanted_NK(self) -> FloatArray:
        return np.eye(self.classes)[self.labels_N]

    @cached_property
    def _products(self) -> tuple[FloatArray, FloatArray]:
        """(R, R) and (R, K) products of all images with themselves and with the classes."""
        return self.table_NR.T @ self.table_NR, self.table_NR.T @ self._wanted_NK

    @cached_property
    def _outputs_NK(self) -> FloatArray:
        """What is said of each image by a ridge that has not seen its part."""
        gram_RR, cross_RK = self._products
        outputs_NK = np.empty_like(self._wanted_NK)
        for fold in np.unique(self.folds_N):
            held = np.flatnonzero(self.folds_N == fold)
            x_mR = self.table_NR[held]
            weights_RK = self._solved(
                gram_RR - x_mR.T @ x_mR, cross_RK - x_mR.T @ self._wanted_NK[held]
            )
            outputs_NK[held] = x_mR @ weights_RK
        return outputs_NK

    @property
    def error(self) -> float:
        """Mean squared error out of fold."""
        return float(np.square(self._outputs_NK - self._wanted_NK).mean())

    @cached_property
    def right_N(self) -> BoolArray:
        """(N,) who is told rightly out of fold."""
        return np.asarray(self._outputs_NK.argmax(axis=1) == self.labels_N)

    @cached_property
    def said_N(self) -> IntArray:
        """(N,) the class that is said of each image out of fold."""
        return self._outputs_NK.argmax(axis=1).astype(np.int64)

    def without(self, rows: IntArray) -> IntArray | None:
        """Return (m,) the classes that are said of images of one class where none of them is seen.

        What belongs together with them is not seen either. The other images of their class count
        for more, so that it keeps its weight: its rate does not fall, only what it is made of.

        Args:
            rows: (m,) images of one class.

        Returns:
            None where too few images of the class are left.
        """
        c = int(self.labels_N[rows[0]])
        out_N = np.zeros(len(self.labels_N), dtype=np.bool_)
        out_N[rows] = True
        if self.groups_N is not None:
            out_N |= np.isin(self.groups_N, self.groups_N[rows])
        own_N = self.labels_N == c
        left = np.flatnonzero(own_N & ~out_N)
        if len(left) < LEAST:
            return None
        weight = own_N.sum() / len(left)
        gram_RR, cross_RK = self._products
        # Taken off: all of the class, and the mates in others; put back: the rest of it, weighted.
        mates = np.flatnonzero(out_N & ~own_N)
        x_aR, x_bR, x_mR = (self.table_NR[part] for part in (mates, left, rows))
        gram_RR = gram_RR - self._own[c] - x_aR.T @ x_aR + weight * (x_bR.T @ x_bR)
        cross_RK = cross_RK - x_aR.T @ self._wanted_NK[mates]
        cross_RK[:, c] = weight * x_bR.sum(axis=0)
        said_mK = x_mR @ self._solved(gram_RR, cross_RK)
        return np.asarray(said_mK.argmax(axis=1), dtype=np.int64)

    @cached_property
    def _own(self) -> list[FloatArray]:
        """(R, R) products of the images of each class."""
        parts = (self.table_NR[self.labels_N == c] for c in range(self.classes))
        return [x_nR.T @ x_nR for x_nR in parts]

    def _solved(self, gram_RR: FloatArray, cross_RK: FloatArray) -> FloatArray:
        """Return (R, K) weights; the constant, whose product is the number of images, is free."""
        penalty_R = np.full(len(gram_RR), self.strength * gram_RR[-1, -1])
        penalty_R[-1] = 0.0
        weights_RK: FloatArray = linalg.solve(
            gram_RR + np.diag(penalty_R), cross_RK, assume_a="pos", check_finite=False
        )
        return weights_RK
