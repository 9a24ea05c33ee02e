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
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from taskdiscovery.data.partition import apart
from taskdiscovery.features.products_torch import products_on
from taskdiscovery.training.preparing import STRENGTHS, Prepared
from taskdiscovery.types import Float32, FloatArray, IntArray

#: inverse strengths of a logistic regression that are tried, and the share that decides.
INVERSE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_HELD_OUT = 0.2
#: preparations of one table that are remembered: those of the runs of one labeling.
_REMEMBERED = 4

#: by table; they end with it.
_PREPARED: WeakIdKeyDictionary = WeakIdKeyDictionary()


class Fit(NamedTuple):
    """What a learner is fitted to.

    Attributes:
        rows: (n,) rows of the table.
        targets: (n,) classes, or (n, K) coordinates.
        outputs: K.
        groups: (n,) number of the group of each row, or None; a strength is then chosen on groups
            that it is not fitted to.
    """

    rows: IntArray
    targets: NDArray[Any]
    outputs: int
    groups: IntArray | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Linear:
    """Outputs that are linear in reduced features.

    Attributes:
        weights_RK: of the reduced features, centred on the rows that were fitted to.
        offset_K: added.
        classes_K: the output of each column, of K outputs in all; None where they are all of them.
        outputs: K.
    """

    weights_RK: FloatArray
    offset_K: FloatArray
    classes_K: IntArray | None = None
    outputs: int

    def of(self, table_mR: Float32) -> FloatArray:
        """Return (m, K) outputs; of a logistic regression logarithms of probabilities."""
        if self.classes_K is None:
            return table_mR @ self.weights_RK + self.offset_K
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression()
        model.coef_, model.intercept_ = self.weights_RK.T, self.offset_K
        model.classes_, model.n_features_in_ = self.classes_K, len(self.weights_RK)
        outputs_mK = np.full((len(table_mR), self.outputs), -np.inf)
        outputs_mK[:, self.classes_K] = model.predict_log_proba(table_mR)
        return np.maximum(outputs_mK, -1e3)


def fitted_outputs(
    learner: str, table: Tensor, fit: Fit, measured: IntArray, device: str = "cpu"
) -> Tensor:
    """Fit a learner to some rows, and return what it gives for others.

    Args:
        learner: one of `LEARNERS`.
        table: (N, …) features, floats of any type on the CPU, maybe memory-mapped.
        fit: what it is fitted to.
        measured: (m,) rows whose outputs are wanted.
        device: where products are taken.

    Returns:
        (m, K) float32: the class is where the output is largest.
    """
    own, linear = fitted(learner, table, fit, device)
    found_mK = linear.of(own.of_rows(measured))
    return torch.from_numpy(np.ascontiguousarray(found_mK, dtype=np.float32))


def fitted(learner: str, table: Tensor, fit: Fit, device: str = "cpu") -> tuple[Prepared, Linear]:
    """Fit a learner to some rows; arguments as of `fitted_outputs`."""
    own, targets = _prepared(table, fit.rows, device), fit.targets
    wanted_nK = np.eye(fit.outputs)[targets] if targets.ndim == 1 else targets.astype(np.float64)
    return own, LEARNERS[learner](own, wanted_nK, fit.groups)


def _prepared(table: Tensor, rows: IntArray, device: str) -> Prepared:
    if table not in _PREPARED:
        _PREPARED[table] = OrderedDict()
    known: OrderedDict[tuple[str, bytes], Prepared] = _PREPARED[table]
    key = (device, rows.tobytes())
    if key not in known:
        features = table.reshape(len(table), -1).numpy()
        known[key] = Prepared.of(features, rows, products_on(device))
        while len(known) > _REMEMBERED:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def _ridge(own: Prepared, targets_nK: FloatArray, groups_n: IntArray | None) -> Linear:
    """Ridge regression whose strength is chosen by leaving one row out, or some groups."""
    share_K = targets_nK.mean(axis=0)
    centred_nK = targets_nK - share_K
    eigenvalues_R, vectors_RR = own.spectrum
    cross_RK = own.crossed(centred_nK)
    best_RK, least = cross_RK, np.inf
    strengths: tuple[float, ...] = STRENGTHS
    if groups_n is not None and groups_n.max() > 0:
        strengths = (_strength_by_groups(own, targets_nK, groups_n),)
    for strength in strengths:
        weights_RK = cross_RK / (eigenvalues_R + strength * len(centred_nK))[:, None]
        left_nK = own.left(weights_RK, centred_nK)
        error = float(np.square(left_nK / (1 - own.leverages[strength])[:, None]).mean())
        if error < least:
            best_RK, least = weights_RK, error
    return Linear(weights_RK=vectors_RR @ best_RK, offset_K=share_K, outputs=targets_nK.shape[1])


def _strength_by_groups(own: Prepared, targets_nK: FloatArray, groups_n: IntArray) -> float:
    """Return the strength that predicts groups best that a ridge is not fitted to."""
    errors = np.zeros(len(STRENGTHS))
    for part in own.parts(groups_n):
        share_K = targets_nK[part.fit].mean(axis=0)
        cross_RK = part.turned_nR.T @ (targets_nK[part.fit] - share_K)
        for number, strength in enumerate(STRENGTHS):
            penalties_R = part.eigenvalues_R + strength * len(part.fit)
            left_mK = targets_nK[part.held] - share_K
            left_mK -= part.held_turned_mR @ (cross_RK / penalties_R[:, None])
            errors[number] += float(np.square(left_mK).sum())
    return STRENGTHS[int(errors.argmin())]


def _logistic(own: Prepared, targets_nK: FloatArray, groups_n: IntArray | None) -> Linear:
    """Logistic regression whose strength is chosen on a fifth of the rows, or of the groups.

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
    if groups_n is not None and groups_n.max() > 0:
        rng = np.random.default_rng(len(classes_n))
        held = apart(np.arange(len(classes_n)), _HELD_OUT, rng, groups_n.astype(np.str_))
        fit = np.setdiff1d(order_n, held)
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
    return Linear(
        weights_RK=model.coef_.T,
        offset_K=model.intercept_,
        classes_K=model.classes_.astype(np.int64),
        outputs=targets_nK.shape[1],
    )


#: how each is fitted to the rows and (n, K) targets, with the groups of the rows where they have
#: some.
LEARNERS: dict[str, Callable[[Prepared, FloatArray, IntArray | None], Linear]] = {
    "ridge": _ridge,
    "logistic": _logistic,
}
