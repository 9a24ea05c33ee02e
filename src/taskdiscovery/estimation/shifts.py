"""Accuracy under shift, calibrated on shifts that are made: corrupted copies of labelled images.

How much accuracy falls where confidence and agreement fall differs from learner to learner. It can
be measured without a single new label: held-out images are corrupted in many ways (`data.
corruptions`), their labels stay, and on each such domain one sees what the estimators say and what
is true. Over the domains accuracy is fitted, by least squares, as a linear function of two figures
that need no labels: the thresholded confidence of Garg et al., and kappa, the agreement of the runs
above chance. Confidence alone misses where a shift makes runs sure and wrong, agreement alone where
it makes them all say one class; kappa knows the second.

Calibrating on made shifts is after Deng & Zheng, CVPR 2021 (arXiv 2007.02915), and Guillory et al.,
ICCV 2021; the two figures are ours.

Intervals are what the fit missed on made domains whose kind of corruption was left out of it. They
hold the accuracy on a real shift only as far as that is like one of those: exchangeability cannot
be checked without labels, and an adversarial split is unlike all of them.

Axes: L domains, K runs, n images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import special

from taskdiscovery.errors import DataError
from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.curve import Agreed
from taskdiscovery.estimation.estimators import Estimator, thresholded_confidence
from taskdiscovery.estimation.intervals import Estimate, of_residuals
from taskdiscovery.types import FloatArray

WORDS = "thresholded confidence and kappa, calibrated on corrupted held-out images"
SOURCE = "ours (docs/estimate.md), after Deng & Zheng, CVPR 2021 (arXiv 2007.02915)"
#: kinds of corruption from which on one of them can be left out.
_KINDS = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Shifts:
    """What accuracy was on made domains, and the function that was fitted to it.

    Attributes:
        figures_LF: of each domain: 1, thresholded confidence, kappa of agreement.
        accuracies_L: mean accuracy of the runs.
        kinds_L: of corruption; one kind at several strengths is one kind.
        coefficients_F: of the figures.
    """

    figures_LF: FloatArray
    accuracies_L: FloatArray
    kinds_L: tuple[str, ...]
    coefficients_F: FloatArray = field(repr=False)

    @classmethod
    def fit(
        cls, domains: Sequence[Case], accuracies_L: FloatArray, kinds_L: Sequence[str]
    ) -> Shifts:
        """Fit to domains.

        Args:
            domains: the same calibration images in each, a made domain as the unlabelled images.
            accuracies_L: mean accuracy of the runs on each domain.
            kinds_L: of corruption.

        Raises:
            DataError: for fewer than three kinds.
            ValueError: where numbers differ.
        """
        return cls.of(np.array([figures(own) for own in domains]), accuracies_L, kinds_L)

    @classmethod
    def of(cls, figures_LF: FloatArray, accuracies_L: FloatArray, kinds_L: Sequence[str]) -> Shifts:
        """Fit to figures that are known, as `fit`."""
        if not len(figures_LF) == len(accuracies_L) == len(kinds_L):
            raise ValueError(
                f"{len(figures_LF)} domains, {len(accuracies_L)} accuracies, {len(kinds_L)} kinds"
            )
        if len(set(kinds_L)) < _KINDS:
            raise DataError(
                f"made shifts of {len(set(kinds_L))} kinds are too few to calibrate on",
                hint=f"make {_KINDS} kinds or more",
            )
        return cls(
            figures_LF=figures_LF,
            accuracies_L=accuracies_L,
            kinds_L=tuple(kinds_L),
            coefficients_F=_fitted(figures_LF, accuracies_L),
        )

    def predict(self, figures_F: FloatArray) -> float:
        """Return the accuracy, in [0, 1], that goes with the figures of a domain."""
        return min(1.0, max(0.0, float(figures_F @ self.coefficients_F)))

    def __call__(self, case: Case) -> float:
        """Return the accuracy on the unlabelled images of a case.

        Raises:
            ConfigError: for fewer than two runs.
        """
        return self.predict(figures(case))

    @property
    def misses_L(self) -> FloatArray:
        """(L,) accuracy of each domain less what the fit to the other kinds says."""
        found, kinds_L = np.empty(len(self.kinds_L)), np.array(self.kinds_L)
        for kind in set(self.kinds_L):
            its_L = kinds_L == kind
            fitted_F = _fitted(self.figures_LF[~its_L], self.accuracies_L[~its_L])
            found[its_L] = self.accuracies_L[its_L] - np.clip(
                self.figures_LF[its_L] @ fitted_F, 0, 1
            )
        return found

    def estimate(
        self, value: float, level: float = 0.9, images: tuple[int, int] | None = None
    ) -> Estimate:
        """Put an interval around an estimate, by what was missed on made domains.

        Args:
            value: the estimate.
            level: of the interval.
            images: how many are asked about, and how many a made domain has. What is missed on the
                latter has the chance of drawing so many in it; for fewer than that the interval is
                wider, by the variance of a share that is missing.

        Raises:
            DataError: for too few domains.
        """
        found = of_residuals(value, self.misses_L, level, covers="made shifts")
        if images is None or images[0] >= images[1]:
            return found
        more = value * (1 - value) * (1 / images[0] - 1 / images[1])
        misses_L = np.sort(np.abs(self.misses_L))
        half = float(misses_L[int(np.ceil((len(misses_L) + 1) * level - 1e-9)) - 1])
        half = float(np.hypot(half, special.ndtri(0.5 + level / 2) * np.sqrt(more)))
        return replace(found, low=max(0.0, value - half), high=min(1.0, value + half))


def _fitted(figures_LF: FloatArray, accuracies_L: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.lstsq(figures_LF, accuracies_L, rcond=None)[0])


def figures(case: Case) -> FloatArray:
    """Return (F,): 1, thresholded confidence and kappa of the unlabelled images.

    Raises:
        ConfigError: for fewer than two runs.
    """
    rates_C = np.bincount(case.labels_m, minlength=case.classes) / len(case.labels_m)
    agreed = Agreed.of(case.unlabelled.predicted_KN, rates_C)
    return np.array([1.0, thresholded_confidence(case), agreed.kappa])


def estimator(shifts: Shifts) -> Estimator:
    """Return the estimator that was calibrated on made shifts, as a row of `ESTIMATORS`."""
    return Estimator(function=shifts, words=WORDS, source=SOURCE, runs=2)
