"""What a learner in closed form needs of its rows alone, whatever is learnt on them.

Axes: n training rows, m other rows, R reduced features.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg

from taskdiscovery.data.partition import cut
from taskdiscovery.features.products import CPU, Products
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix

#: principal components of the features that are looked at.
COMPONENTS = 384
#: strengths of a ridge that are tried.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: parts of the groups that decide about a strength, one after the other.
_PARTS = 5


class Part(NamedTuple):
    """Whole groups of the rows, and a ridge's view of the others.

    Attributes:
        held: (m,) positions of the rows that are held out.
        fit: (n,) of the others.
        eigenvalues_R: of XᵀX of the others, centred.
        turned_nR: the others, centred, along its eigenvectors.
        held_turned_mR: those that are held out, likewise.
    """

    held: IntArray
    fit: IntArray
    eigenvalues_R: FloatArray
    turned_nR: FloatArray
    held_turned_mR: FloatArray


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rows to fit to, and what is the same for all that is learnt on them.

    Attributes:
        features: (N, P) of all rows.
        rows: (n,) the rows.
        reduction: measured on these rows alone.
        products: where products with the rows are taken.
    """

    features: Matrix
    rows: IntArray
    reduction: Reduction
    products: Products = CPU

    @classmethod
    def of(cls, features: Matrix, rows: IntArray, products: Products = CPU) -> Prepared:
        """Measure the reduction."""
        reduction = Reduction.measure(features, rows, COMPONENTS, products)
        return cls(features, rows, reduction, products)

    @cached_property
    def _centred(self) -> tuple[Float32, Float32]:
        """The reduced features of the rows, centred, and the (R,) means that were taken off."""
        table_nR = self.reduction.apply(self.features, self.rows, self.products)
        mean_R = table_nR.mean(axis=0, dtype=np.float64).astype(np.float32)
        table_nR -= mean_R
        return table_nR, mean_R

    @property
    def table_nR(self) -> Float32:
        """(n, R) reduced features of the rows, centred."""
        return self._centred[0]

    @cached_property
    def spectrum(self) -> tuple[FloatArray, FloatArray]:
        """Eigenvalues (R,) and vectors (R, R) of XᵀX."""
        eigenvalues_R, vectors_RR = linalg.eigh(self.products.gram(self.table_nR))
        return np.maximum(eigenvalues_R, 0.0), vectors_RR

    @cached_property
    def turned_nR(self) -> Float32:
        """(n, R) the rows along the eigenvectors."""
        return self.products.times(self.table_nR, self.spectrum[1].astype(np.float32))

    def crossed(self, targets_nK: FloatArray) -> FloatArray:
        """(R, K) XᵀT of the rows along the eigenvectors."""
        return self.products.crossed(self._put, targets_nK)

    def left(self, weights_RK: FloatArray, targets_nK: FloatArray) -> FloatArray:
        """(n, K) what such weights leave of targets."""
        return self.products.left(self._put, weights_RK, targets_nK)

    @cached_property
    def _put(self) -> Any:
        """The rows along the eigenvectors, where products are taken."""
        return self.products.put(self.turned_nR)

    @cached_property
    def leverages(self) -> dict[float, FloatArray]:
        """(n,) how much each row decides its own prediction, by strength of the ridge."""
        squares_nR = np.square(self.turned_nR)
        n = len(self.rows)
        return {
            strength: squares_nR @ (1 / (self.spectrum[0] + strength * n)) + 1 / n
            for strength in STRENGTHS
        }

    @property
    def mean_R(self) -> Float32:
        """(R,) means of the reduced features of the rows, that were taken off."""
        return self._centred[1]

    def of_rows(self, rows: IntArray) -> Float32:
        """(m, R) reduced features of other rows, centred on those of these."""
        if (known := self._asked.get(key := rows.tobytes())) is None:
            self._asked.clear()
            known = self._asked[key] = self._reduced(rows)
        return known

    def _reduced(self, rows: IntArray) -> Float32:
        found_mR = self.reduction.apply(self.features, rows, self.products)
        centred_mR: Float32 = found_mR - self._centred[1]
        return centred_mR

    def parts(self, groups_n: IntArray) -> list[Part]:
        """Return the parts of the rows that decide about a strength: whole groups each.

        Args:
            groups_n: number of the group of each row.
        """
        if (known := self._parts.get(key := groups_n.tobytes())) is None:
            self._parts.clear()
            known = self._parts[key] = [self._part(held) for held in _cut(groups_n)]
        return known

    def _part(self, held: IntArray) -> Part:
        table_nR = self.table_nR.astype(np.float64)
        fit = np.setdiff1d(np.arange(len(table_nR)), held)
        mean_R = table_nR[fit].mean(axis=0)
        x_nR = table_nR[fit] - mean_R
        eigenvalues_R, vectors_RR = linalg.eigh(x_nR.T @ x_nR)
        return Part(
            held=held,
            fit=fit,
            eigenvalues_R=np.maximum(eigenvalues_R, 0.0),
            turned_nR=x_nR @ vectors_RR,
            held_turned_mR=(table_nR[held] - mean_R) @ vectors_RR,
        )

    @cached_property
    def _parts(self) -> dict[bytes, list[Part]]:
        """Those of the groups that were asked for last."""
        return {}

    @cached_property
    def _asked(self) -> dict[bytes, Float32]:
        """The rows that were asked for last: labelings of a job are measured on the same."""
        return {}


def _cut(groups_n: IntArray) -> list[IntArray]:
    """Cut rows into parts of whole groups."""
    count = min(_PARTS, int(groups_n.max()) + 1)
    rng = np.random.default_rng(len(groups_n))
    return cut(np.arange(len(groups_n)), count, rng, groups_n.astype(np.str_))
