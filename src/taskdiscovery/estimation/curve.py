"""Accuracy from agreement by a curve through chance, fitted on other labelings of the same learner.

Two runs that guess agree by chance, and are right by chance; how often depends on how many classes
there are and how often each is. So both are rescaled: kappa of agreement is what they agree above
chance, as a share of what is possible, and kappa of accuracy what they are right above chance. Of
one learner the second is about

    kappa_accuracy = a * kappa + b * kappa^2,

whatever the labeling: it passes through 0, since runs that agree by chance alone know nothing, and
it bends, since runs of one learner also agree where they are wrong. a and b are found by least
squares of the accuracies themselves. All that is asked of a labeling are its agreement, the rates
of the classes among the predictions, and their rates among the labels that were trained on.

Intervals are conformal (`conformal`): they cover where the labelings that were fitted and the one
that is asked about are exchangeable.

Axes: L labelings, K runs, n images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from taskdiscovery.agreement import agreement
from taskdiscovery.errors import DataError
from taskdiscovery.estimation import conformal
from taskdiscovery.types import FloatArray, IntArray

#: a curve through two points would leave nothing to tell how far it misses.
_LEAST = 4


@dataclass(frozen=True, kw_only=True)
class Agreed:
    """How runs agree on a labeling, and what chance alone would give.

    Attributes:
        score: agreement score.
        chance: the agreement that the rates of the predictions give by chance.
        right: the accuracy that these rates, and those of the labels, give by chance.
    """

    score: float
    chance: float
    right: float

    @classmethod
    def of(cls, predicted_Kn: IntArray, rates_C: FloatArray) -> Agreed:
        """Look at what runs predict.

        Args:
            predicted_Kn: (K, n) classes, K >= 2.
            rates_C: (C,) shares of the classes among labels, as on the images trained on.
        """
        C = len(rates_C)
        found = agreement(predicted_Kn, C)
        predicted_C = np.bincount(predicted_Kn.ravel(), minlength=C) / predicted_Kn.size
        right = float(predicted_C @ rates_C)
        return cls(score=found.interval.mean, chance=found.chance, right=right)

    @property
    def kappa(self) -> float:
        """Agreement above chance; 0 where chance is all there is."""
        room = 1 - self.chance
        return (self.score - self.chance) / room if room > 1e-12 else 0.0

    @property
    def terms(self) -> tuple[float, float]:
        """What the accuracy above chance is linear in."""
        return (1 - self.right) * self.kappa, (1 - self.right) * self.kappa**2


@dataclass(frozen=True, eq=False, kw_only=True)
class Curve:
    """A curve from agreement to accuracy, both above chance.

    Attributes:
        given_L: of each labeling, how runs agree on images that none was trained on.
        accuracies_L: mean accuracy of the runs on the same images.
        coefficients: a and b.
    """

    given_L: tuple[Agreed, ...]
    accuracies_L: FloatArray
    coefficients: FloatArray = field(repr=False)

    @classmethod
    def fit(cls, given_L: Sequence[Agreed], accuracies_L: FloatArray) -> Curve:
        """Fit by least squares.

        Raises:
            DataError: for fewer than four labelings.
            ValueError: where the two differ in number.
        """
        if len(given_L) != len(accuracies_L):
            raise ValueError(f"{len(given_L)} agreements for {len(accuracies_L)} accuracies")
        if len(given_L) < _LEAST:
            raise DataError(
                f"a curve from agreement to accuracy needs {_LEAST} labelings or more, "
                f"got {len(given_L)}",
                hint="score more labelings whose accuracy is known, with the same learner",
            )
        fitted = _fitted(given_L, accuracies_L)
        return cls(given_L=tuple(given_L), accuracies_L=accuracies_L, coefficients=fitted)

    def predict(self, asked: Agreed) -> float:
        """Return the accuracy, in [0, 1], that goes with an agreement."""
        value = asked.right + float(np.dot(asked.terms, self.coefficients))
        return min(1.0, max(0.0, value))

    @property
    def residuals_L(self) -> FloatArray:
        """(L,) accuracy of each labeling less what the curve through the others says."""
        found = np.empty(len(self.given_L))
        for i, own in enumerate(self.given_L):
            others = self.given_L[:i] + self.given_L[i + 1 :]
            fitted = _fitted(others, np.delete(self.accuracies_L, i))
            found[i] = self.accuracies_L[i] - own.right - float(np.dot(own.terms, fitted))
        return found

    def interval(self, asked: Agreed, level: float = 0.9) -> tuple[float, float]:
        """Return accuracies between which the truth lies with probability `level` or more.

        Args:
            asked: how runs agree on the labeling that is asked about.
            level: coverage, over draws of all L + 1 labelings.

        Raises:
            DataError: where no set smaller than everything can have the coverage.
        """
        terms_LT = _terms([*self.given_L, asked])
        kept_LL = np.eye(len(terms_LT)) - terms_LT @ np.linalg.pinv(terms_LT)
        above_L = _above(self.given_L, self.accuracies_L)
        predicted = self.predict(asked)
        return conformal.interval(kept_LL, above_L, predicted, asked.right, level)


def _fitted(given_L: Sequence[Agreed], accuracies_L: FloatArray) -> FloatArray:
    above_L = _above(given_L, accuracies_L)
    return np.asarray(np.linalg.lstsq(_terms(given_L), above_L, rcond=None)[0])


def _above(given_L: Sequence[Agreed], accuracies_L: FloatArray) -> FloatArray:
    """Return (L,) what is right above chance."""
    return accuracies_L - np.array([own.right for own in given_L])


def _terms(given_L: Sequence[Agreed]) -> FloatArray:
    return np.array([own.terms for own in given_L])
