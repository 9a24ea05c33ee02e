"""Accuracy under shift, calibrated on shifts that are made: corrupted copies of labelled images.

How much accuracy falls where confidence and agreement fall differs from learner to learner. It can
be measured without a single new label: held-out images are corrupted in many ways (`data.
corruptions`), their labels stay, and on each such domain one sees what the estimators say and what
is true. Over the domains the change of accuracy, from the images as they are, is fitted by least
squares as a linear function of the changes of two figures that need no labels: the thresholded
confidence of Garg et al., and kappa, the agreement of the runs above chance. Confidence alone
misses where a shift makes runs sure and wrong, agreement alone where it makes them all say one
class; kappa knows the second. The estimate is the held-out accuracy and what the changes from the
calibration images to the new ones tell. Changes are of the same images, so that it does not matter
how easy those few are that were corrupted.

Calibrating on made shifts is after Deng & Zheng, CVPR 2021 (arXiv 2007.02915), and Guillory et al.,
ICCV 2021; the two figures are ours.

Intervals are what the fit missed on made domains whose kind of corruption was left out of it, and
the chance of drawing so many images here and there. They hold the accuracy on a real shift only as
far as that is like one of those: exchangeability cannot be checked without labels, and an
adversarial split is unlike all of them.

Axes: L domains, F figures, K runs, m calibration images, n images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from taskdiscovery.errors import DataError
from taskdiscovery.estimation import conformal
from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.curve import Agreed
from taskdiscovery.estimation.estimators import (
    Estimator,
    held_out,
    require_runs,
    thresholded_confidence,
)
from taskdiscovery.estimation.intervals import Estimate
from taskdiscovery.types import FloatArray, IntArray

WORDS = "thresholded confidence and kappa, calibrated on corrupted held-out images"
SOURCE = "ours (docs/estimate.md), after Deng & Zheng, CVPR 2021 (arXiv 2007.02915)"
#: kinds of corruption from which on one of them can be left out.
_KINDS = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Shifts:
    """How accuracy changed on made domains, and the function that was fitted to it.

    Attributes:
        changes_LF: of each domain: by how much thresholded confidence and kappa differ from the
            same images as they are.
        falls_L: by how much the mean accuracy of the runs does.
        kinds_L: of corruption; one kind at several strengths is one kind.
        coefficients_F: of the changes.
    """

    changes_LF: FloatArray
    falls_L: FloatArray
    kinds_L: tuple[str, ...]
    coefficients_F: FloatArray = field(repr=False)

    @classmethod
    def fit(
        cls, figures_LF: FloatArray, accuracies_L: FloatArray, kinds_L: Sequence[str]
    ) -> Shifts:
        """Fit to domains, the first of which are the images as they are.

        Args:
            figures_LF: `figures` of each domain.
            accuracies_L: mean accuracy of the runs on each domain.
            kinds_L: of corruption.

        Raises:
            DataError: for fewer than three kinds beside the first.
            ValueError: where numbers differ.
        """
        if not len(figures_LF) == len(accuracies_L) == len(kinds_L):
            raise ValueError(
                f"{len(figures_LF)} domains, {len(accuracies_L)} accuracies, {len(kinds_L)} kinds"
            )
        if len(set(kinds_L[1:])) < _KINDS:
            raise DataError(
                f"made shifts of {len(set(kinds_L[1:]))} kinds are too few to calibrate on",
                hint=f"make {_KINDS} kinds or more",
            )
        changes_LF = figures_LF[1:] - figures_LF[0]
        falls_L = accuracies_L[1:] - accuracies_L[0]
        return cls(
            changes_LF=changes_LF,
            falls_L=falls_L,
            kinds_L=tuple(kinds_L[1:]),
            coefficients_F=_fitted(changes_LF, falls_L),
        )

    def predict(self, figures_F: FloatArray, known_F: FloatArray, held_out: float) -> float:
        """Return the accuracy, in [0, 1], that goes with the figures of new images.

        Args:
            figures_F: of the new images.
            known_F: of the calibration images.
            held_out: accuracy on the calibration images.
        """
        change = float((figures_F - known_F) @ self.coefficients_F)
        return min(1.0, max(0.0, held_out + change))

    def __call__(self, case: Case) -> float:
        """Return the accuracy on the unlabelled images of a case.

        Raises:
            ConfigError: for fewer than two runs.
        """
        return self.predict(figures(case), known_figures(case), held_out(case))

    @property
    def misses_L(self) -> FloatArray:
        """(L,) the change of accuracy on each domain less what the fit to the other kinds says."""
        found, kinds_L = np.empty(len(self.kinds_L)), np.array(self.kinds_L)
        for kind in set(self.kinds_L):
            its_L = kinds_L == kind
            fitted_F = _fitted(self.changes_LF[~its_L], self.falls_L[~its_L])
            found[its_L] = self.falls_L[its_L] - self.changes_LF[its_L] @ fitted_F
        return found

    def estimate(self, value: float, images: tuple[int, int], level: float = 0.9) -> Estimate:
        """Put an interval around an estimate.

        Half of its width is the quantile of the misses on made domains, and the normal quantile of
        the standard deviation of a share of so many images, here and there, added as variances are.

        Args:
            value: the estimate.
            images: how many calibrate, and how many are asked about.
            level: of the interval.

        Raises:
            DataError: for too few domains.
        """
        missed = conformal.quantile(self.misses_L, level)
        chance = np.sqrt(value * (1 - value) * (1 / images[0] + 1 / images[1]))
        half = float(np.hypot(missed, special.ndtri(0.5 + level / 2) * chance))
        low, high = max(0.0, value - half), min(1.0, value + half)
        return Estimate(value=value, low=low, high=high, level=level, covers="made shifts")


def _fitted(changes_LF: FloatArray, falls_L: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.lstsq(changes_LF, falls_L, rcond=None)[0])


def figures(case: Case) -> FloatArray:
    """Return (F,): thresholded confidence and kappa of the unlabelled images.

    Raises:
        ConfigError: for fewer than two runs.
    """
    return np.array([thresholded_confidence(case), _kappa(case, case.unlabelled.predicted_KN)])


def known_figures(case: Case) -> FloatArray:
    """Return the same (F,) of the calibration images, of which the first is their accuracy."""
    return np.array([held_out(case), _kappa(case, case.calibration.predicted_KN)])


def _kappa(case: Case, predicted_KN: IntArray) -> float:
    require_runs(case.K, 2)
    rates_C = np.bincount(case.labels_m, minlength=case.classes) / len(case.labels_m)
    return Agreed.of(predicted_KN, rates_C).kappa


def estimator(shifts: Shifts) -> Estimator:
    """Return the estimator that was calibrated on made shifts, as a row of `ESTIMATORS`."""
    return Estimator(function=shifts, words=WORDS, source=SOURCE, runs=2)
