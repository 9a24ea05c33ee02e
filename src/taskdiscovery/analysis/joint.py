"""How well do properties together predict a labeling, on images that the model has not seen?

A model averages the probabilities of two: boosted trees, and a logistic regression on the numbers,
their squares and products and on levels. It is fitted on images that discovery has seen, where
there are enough, and measured on those that it has not; else it is cross-validated on the latter,
groups together. Neither serves the rows of `associations` otherwise.

Axes: N images, C classes, P columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from taskdiscovery.analysis import measures
from taskdiscovery.analysis.properties import Factor, property_of
from taskdiscovery.data import partition
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.types import Document, FloatArray, IdArray, IntArray

FOLDS, FEWER, MANY = 5, 3, 1500  # folds; of many images fewer do
TREES, WIDE = 80, 100  # trees see no more columns of levels than that
LEAST = 300  # images that discovery has seen, for a model to be fitted on them
#: labelings of more classes are not modelled.
CLASSES = 30
#: what goes into each model, in the words of a verdict.
INPUTS = {
    "statistics": ("statistic",),
    "attributes": ("attribute",),
    "label": ("label",),
    "everything": ("statistic", "attribute", "label"),
}


@dataclass(frozen=True, kw_only=True)
class JointModel:
    """How well some properties together predict a labeling.

    Attributes:
        inputs: `statistics`, `attributes`, `label` or `everything`.
        auc, low, high: on images it was not fitted on, with a 95 % interval; of more than two
            classes, the mean of each against the rest.
        images, fitted: how many it was measured on, and how many it was fitted on.
        held_out: False where it was cross-validated.
    """

    inputs: str
    auc: float
    low: float
    high: float
    images: int
    fitted: int
    held_out: bool


@dataclass(frozen=True, eq=False, kw_only=True)
class Images:
    """Where joint models are fitted and measured.

    Attributes:
        factors: properties of N images.
        measured: rows of these that are measured.
        spare: rows that a model may be fitted on; may be empty.
        groups: (N,) what belongs together, or None.
        seed: of folds and trees.
    """

    factors: Mapping[str, Factor]
    measured: IntArray
    spare: IntArray
    groups: IdArray | None = None
    seed: int = 0


def joint_models(task: str, labels_N: IntArray, images: Images) -> list[Document]:
    """Fit a model for each kind of property, and one for all.

    Args:
        task: name of the labeling; the property it was made of is left out.
        labels_N: (N,) its classes, -1 where unknown.
        images: where to fit and where to measure.

    Returns:
        The fields of `JointModel`, for all inputs that there are.
    """
    own = {n: f for n, f in images.factors.items() if n not in (task, property_of(task))}
    present = {factor.source for factor in own.values()}
    found = []
    for inputs, sources in INPUTS.items():
        used = [f for f in own.values() if f.source in sources]
        if used and (inputs != "everything" or len(present) > 1):
            model = _model(labels_N, used, images, inputs)
            if model is not None:
                found.append(asdict(model))
    return found


def _model(
    labels_N: IntArray, factors: Sequence[Factor], images: Images, inputs: str
) -> JointModel | None:
    known_N = labels_N >= 0
    measured, spare = images.measured[known_N[images.measured]], images.spare
    spare = spare[known_N[spare]]
    classes, counts = np.unique(labels_N[measured], return_counts=True)
    if len(classes) < 2 or len(classes) > CLASSES or counts.min() < FOLDS:
        return None
    columns = _Columns(factors)
    held_out = len(spare) >= LEAST and set(classes) <= set(labels_N[spare])
    chances = np.zeros((len(measured), len(classes)))
    fitted = 0
    for fit, ask in _folds(measured, spare if held_out else None, images):
        fitted = max(fitted, len(fit))
        chances[ask] = columns.predict(labels_N, fit, measured[ask], classes, images.seed)
    groups_N = None if images.groups is None else partition.codes(images.groups[measured])
    sides = classes[1:] if len(classes) == 2 else classes
    each = [
        measures.auc(np.round(chances[:, np.searchsorted(classes, c)], 9), side_N, groups_N)
        for c in sides
        for side_N in [labels_N[measured] == c]
    ]
    value = float(np.mean([one.value for one in each]))
    influence_N = np.mean([one.influence_N for one in each], axis=0)
    rarest_N = labels_N[measured] == classes[counts.argmin()]
    found = measures.with_interval(value, influence_N, rarest_N, groups_N)
    return JointModel(
        inputs=inputs,
        auc=found.value,
        low=found.low,
        high=found.high,
        images=len(measured),
        fitted=fitted,
        held_out=held_out,
    )


def _folds(
    measured: IntArray, spare: IntArray | None, images: Images
) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield rows to fit on, and places in `measured` to ask."""
    if spare is not None:
        yield spare, np.arange(len(measured))
        return
    rng = generator(images.seed, "joint folds")
    groups = None if images.groups is None else images.groups[measured]
    folds = FEWER if len(measured) > MANY else FOLDS
    if groups is not None:
        folds = min(folds, int(partition.codes(groups).max()) + 1)
    for part in partition.cut(np.arange(len(measured)), folds, rng, groups):
        if 0 < len(part) < len(measured):
            yield np.delete(measured, part), part


class _Columns:
    """Factors as columns: numbers with NaN where unknown, and one column a level."""

    def __init__(self, factors: Sequence[Factor]) -> None:
        numbers = [np.where(f.known, f.values, np.nan) for f in factors if not f.levels]
        levels = [
            f.known & (f.values == code)
            for f in factors
            for code in range(len(f.levels) if len(f.levels) > 2 else 1)
            if f.levels
        ]
        N = len(factors[0].values)
        self.numbers_NP = np.stack(numbers, axis=1) if numbers else np.zeros((N, 0))
        self.levels_NP = np.stack(levels, axis=1).astype(np.float64) if levels else np.zeros((N, 0))

    def predict(
        self, labels_N: IntArray, fit: IntArray, ask: IntArray, classes: IntArray, seed: int
    ) -> FloatArray:
        """Return (asked, C) probabilities of classes, from a model of other rows."""
        if len(np.unique(labels_N[fit])) < 2:
            return np.full((len(ask), len(classes)), 1 / len(classes))
        models: list[tuple[Any, FloatArray, FloatArray]] = [
            (LogisticRegression(C=0.3, max_iter=300), *self._curved(fit, ask))
        ]
        levels_NP = self.levels_NP[:, :0] if self.levels_NP.shape[1] > WIDE else self.levels_NP
        both_NP = np.concatenate([self.numbers_NP, levels_NP], axis=1)
        if both_NP.shape[1] > 1:
            trees = HistGradientBoostingClassifier(
                max_iter=max(15, 2 * TREES // len(classes)),
                max_leaf_nodes=15,
                l2_regularization=1.0,
                early_stopping=False,
                random_state=derive(seed, "joint") % 2**31,
            )
            models.append((trees, both_NP[fit], both_NP[ask]))
        out = np.zeros((len(ask), len(classes)))
        for model, inputs, asked in models:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a fit that stops early is measured as it is
                model.fit(inputs, labels_N[fit])
            places = np.searchsorted(model.classes_, classes)
            has = np.isin(classes, model.classes_)
            out[:, has] += model.predict_proba(asked)[:, places[has]] / len(models)
        return out

    def _curved(self, fit: IntArray, ask: IntArray) -> tuple[FloatArray, FloatArray]:
        """Numbers, standardized as the fitted rows are, with their squares and products."""
        x_NP = self.numbers_NP
        if not x_NP.shape[1]:
            return self.levels_NP[fit], self.levels_NP[ask]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column without any value
            middle, spread = np.nanmean(x_NP[fit], axis=0), np.nanstd(x_NP[fit], axis=0)
        middle = np.nan_to_num(middle)
        spread = np.where(spread > 1e-12, spread, 1.0)

        def columns(rows: IntArray) -> FloatArray:
            z_nP = np.clip(np.nan_to_num((x_NP[rows] - middle) / spread), -4, 4)
            upper = np.triu_indices(z_nP.shape[1]) if z_nP.shape[1] <= 20 else None
            products = z_nP[:, :0] if upper is None else z_nP[:, upper[0]] * z_nP[:, upper[1]]
            return np.concatenate([z_nP, products, self.levels_NP[rows]], axis=1)

        return columns(fit), columns(ask)
