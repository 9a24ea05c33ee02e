"""Features made comparable: unit length, standardized, turned to their principal components.

Axes: N rows, P features, R reduced features, E excluded columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from taskdiscovery.errors import ConfigError
from taskdiscovery.features.products import BLOCK, CPU, Products, chunks
from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix


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
    def measure(
        cls, features_NP: Matrix, rows_N: IntArray, most: int, products: Products = CPU
    ) -> Reduction:
        """Measure it on some rows.

        Args:
            features_NP: (all rows, P), maybe memory-mapped: it is walked through once.
            rows_N: the rows that may be looked at.
            most: R at most.
            products: where they are taken.
        """
        P = features_NP.shape[1]
        sums, squares = products.zeros(P), products.zeros(P, P)
        with products.exact():
            first_nP = next(products.unit_rows(features_NP, rows_N[:BLOCK]))
            shift = first_nP.mean(axis=0)  # float32 keeps its digits
            for x_nP in products.unit_rows(features_NP, rows_N):
                x_nP = x_nP - shift
                sums += products.sums(x_nP)
                squares += x_nP.T @ x_nP
        shift_P = products.get(shift)
        sum_P, squares_PP = products.get(sums), products.get(squares)
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

    def free_of(
        self,
        features_NP: Matrix,
        rows_N: IntArray,
        excluded_NE: FloatArray,
        groups_N: IntArray | None = None,
        products: Products = CPU,
    ) -> Reduction:
        """Return a reduction whose components do not correlate with what is excluded.

        Directions are taken from the null space of their covariance with the reduced features, so
        that whatever is linear in them keeps the promise on these rows exactly.

        Args:
            features_NP: (all rows, P), maybe memory-mapped: it is walked through once.
            rows_N: the rows on which the promise is kept.
            excluded_NE: (N, E) columns, for these rows.
            groups_N: (N,) classes; inside of them nothing is to correlate, either.
            products: where they are taken.

        Raises:
            ConfigError: where no direction is left.
        """
        e_NE = excluded_NE - excluded_NE.mean(axis=0)
        if groups_N is not None:
            inside_NE, group_N = e_NE.copy(), np.unique(groups_N, return_inverse=True)[1]
            for g in range(group_N.max() + 1):
                inside_NE[group_N == g] -= inside_NE[group_N == g].mean(axis=0)
            e_NE = np.concatenate([e_NE, inside_NE], axis=1)
        spread_E = e_NE.std(axis=0)
        if not (spread_E > 1e-9).any():
            return self
        e_NE = e_NE[:, spread_E > 1e-9] / spread_E[spread_E > 1e-9]
        cross_RE = np.zeros((self.matrix_PR.shape[1], e_NE.shape[1]))
        for places in chunks(np.arange(len(rows_N))):
            cross_RE += self.apply(features_NP, rows_N[places], products).T @ e_NE[places]
        u_RR, s, _ = linalg.svd(cross_RE, full_matrices=True)
        left_RR = u_RR[:, int((s > 1e-6 * max(s.max(initial=0.0), 1e-300)).sum()) :]
        if not left_RR.shape[1]:
            raise ConfigError(
                f"what is excluded leaves none of {len(u_RR)} components of the features",
                where="--exclude",
                hint="exclude less, or keep more --components",
            )
        return Reduction(mean_P=self.mean_P, matrix_PR=self.matrix_PR @ left_RR)

    def apply(self, features_NP: Matrix, rows_N: IntArray, products: Products = CPU) -> Float32:
        """Return the (n, R) reduced features of some rows; arguments as of `measure`."""
        result_nR = np.empty((len(rows_N), self.matrix_PR.shape[1]), dtype=np.float32)
        mean = products.put(self.mean_P.astype(np.float32))
        matrix, done = products.put(self.matrix_PR.astype(np.float32)), 0
        with products.exact():
            for x_nP in products.unit_rows(features_NP, rows_N):
                result_nR[done : done + len(x_nP)] = products.get((x_nP - mean) @ matrix)
                done += len(x_nP)
        return result_nR
