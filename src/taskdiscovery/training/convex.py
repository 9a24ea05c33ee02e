"""Learners on features that have one optimum: ridge in closed form, logistic regression.

Two of them on the same images always agree, whatever the seed. So where runs are to be independent,
each has its own part of the images. What they need of their rows alone is prepared once, whatever
is learnt on them.

Axes: n training rows, m measured rows, R reduced features, K outputs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import linalg
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from taskdiscovery.features.reduction import Reduction
from taskdiscovery.types import Float32, FloatArray, IntArray, Matrix

#: principal components of the features that are looked at.
COMPONENTS = 384
#: strengths of a ridge that are tried.
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: inverse strengths of a logistic regression that are tried, and the share that decides.
INVERSE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_HELD_OUT = 0.2
#: preparations of one table that are remembered: those of the runs of one labeling.
_REMEMBERED = 4

#: by table; they end with it.
_PREPARED: WeakIdKeyDictionary = WeakIdKeyDictionary()


def fitted_outputs(
    learner: str,
    table: Tensor,
    rows: IntArray,
    targets: NDArray[Any],
    outputs: int,
    measured: IntArray,
) -> Tensor:
    """Fit a learner to some rows, and return what it gives for others.

    Args:
        learner: one of `LEARNERS`.
        table: (N, …) features, floats of any type on the CPU, maybe memory-mapped.
        rows: (n,) rows to fit to.
        targets: (n,) classes, or (n, K) coordinates.
        outputs: K.
        measured: (m,) rows whose outputs are wanted.

    Returns:
        (m, K) float32: the class is where the output is largest.
    """
    own = _prepared(table, rows)
    wanted_nK = np.eye(outputs)[targets] if targets.ndim == 1 else targets.astype(np.float64)
    found_mK = LEARNERS[learner](own, wanted_nK, measured)
    return torch.from_numpy(np.ascontiguousarray(found_mK, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rows to fit to, and what is the same for all that is learnt on them.

    Attributes:
        features: (N, P) of all rows.
        rows: (n,) the rows.
        reduction: measured on these rows alone.
    """

    features: Matrix
    rows: IntArray
    reduction: Reduction

    @classmethod
    def of(cls, features: Matrix, rows: IntArray) -> Prepared:
        """Measure the reduction."""
        return cls(features, rows, Reduction.measure(features, rows, COMPONENTS))

    @cached_property
    def _centred(self) -> tuple[Float32, Float32]:
        """The reduced features of the rows, centred, and the (R,) means that were taken off."""
        table_nR = self.reduction.apply(self.features, self.rows)
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
        eigenvalues_R, vectors_RR = linalg.eigh(
            (self.table_nR.T @ self.table_nR).astype(np.float64)
        )
        return np.maximum(eigenvalues_R, 0.0), vectors_RR

    @cached_property
    def turned_nR(self) -> Float32:
        """(n, R) the rows along the eigenvectors."""
        turned_nR: Float32 = self.table_nR @ self.spectrum[1].astype(np.float32)
        return turned_nR

    @cached_property
    def leverages(self) -> dict[float, FloatArray]:
        """(n,) how much each row decides its own prediction, by strength of the ridge."""
        squares_nR = np.square(self.turned_nR)
        n = len(self.rows)
        return {
            strength: squares_nR @ (1 / (self.spectrum[0] + strength * n)) + 1 / n
            for strength in STRENGTHS
        }

    def of_rows(self, rows: IntArray) -> Float32:
        """(m, R) reduced features of other rows, centred on those of these."""
        if (known := self._asked.get(key := rows.tobytes())) is None:
            self._asked.clear()
            known = self._asked[key] = self.reduction.apply(self.features, rows) - self._centred[1]
        return known

    @cached_property
    def _asked(self) -> dict[bytes, Float32]:
        """The rows that were asked for last: labelings of a job are measured on the same."""
        return {}


def _prepared(table: Tensor, rows: IntArray) -> Prepared:
    if table not in _PREPARED:
        _PREPARED[table] = OrderedDict()
    known: OrderedDict[bytes, Prepared] = _PREPARED[table]
    key = rows.tobytes()
    if key not in known:
        features = table.reshape(len(table), -1).numpy()
        known[key] = Prepared.of(features, rows)
        while len(known) > _REMEMBERED:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def _ridge(own: Prepared, targets_nK: FloatArray, measured: IntArray) -> FloatArray:
    """Ridge regression whose strength is chosen by leaving one row out."""
    share_K = targets_nK.mean(axis=0)
    centred_nK = targets_nK - share_K
    eigenvalues_R, vectors_RR = own.spectrum
    cross_RK = own.turned_nR.T.astype(np.float64) @ centred_nK
    best_RK, least = cross_RK, np.inf
    for strength in STRENGTHS:
        weights_RK = cross_RK / (eigenvalues_R + strength * len(centred_nK))[:, None]
        left_nK = centred_nK - own.turned_nR @ weights_RK
        error = float(np.square(left_nK / (1 - own.leverages[strength])[:, None]).mean())
        if error < least:
            best_RK, least = weights_RK, error
    return own.of_rows(measured) @ (vectors_RR @ best_RK) + share_K


def _logistic(own: Prepared, targets_nK: FloatArray, measured: IntArray) -> FloatArray:
    """Logistic regression whose strength is chosen on a fifth of the rows.

    Raises:
        ValueError: for coordinates in place of classes.
    """
    from sklearn.linear_model import LogisticRegression

    if not np.isin(targets_nK, (0.0, 1.0)).all():
        raise ValueError("logistic regression learns classes")
    classes_n = targets_nK.argmax(axis=1)
    # The rows are in the order of the images, which may be that of the classes.
    order_n = np.random.default_rng(len(classes_n)).permutation(len(classes_n))
    held, fit = np.split(order_n, [max(1, int(_HELD_OUT * len(order_n)))])
    best, right = INVERSE_STRENGTHS[0], -1.0
    if len(np.unique(classes_n[fit])) > 1:
        for inverse in INVERSE_STRENGTHS:
            model = LogisticRegression(C=inverse, max_iter=200).fit(
                own.table_nR[fit], classes_n[fit]
            )
            share = float(model.score(own.table_nR[held], classes_n[held]))
            if share > right:
                best, right = inverse, share
    model = LogisticRegression(C=best, max_iter=500).fit(own.table_nR, classes_n)
    outputs_mK = np.full((len(measured), targets_nK.shape[1]), -np.inf)
    outputs_mK[:, model.classes_] = model.predict_log_proba(own.of_rows(measured))
    return np.maximum(outputs_mK, -1e3)


#: how each is fitted to the rows and (n, K) targets, and gives (m, K) outputs of other rows.
LEARNERS: dict[str, Callable[[Prepared, FloatArray, IntArray], FloatArray]] = {
    "ridge": _ridge,
    "logistic": _logistic,
}
