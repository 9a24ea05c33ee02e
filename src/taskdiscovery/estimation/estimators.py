"""Accuracy without labels: each estimator is a pure function of what runs say.

What is estimated is the mean accuracy of the runs on the unlabelled images. docs/estimate.md has
the formulae. None of these estimators can see a shift that leaves confidence and agreement as they
are: on an adversarial split they all miss.

Sources: Guillory et al., ICCV 2021 (arXiv 2107.03315); Garg et al., ICLR 2022 (arXiv 2201.04234);
Jiang et al., ICLR 2022 (arXiv 2106.13799); Baek et al., NeurIPS 2022 (arXiv 2206.13089).

Still imperfect: agreement-on-the-line wants models of many kinds. Runs of one learner differ
little, and then the slope of their line is mostly noise.

Axes: K runs, m calibration images, n unlabelled images, N either, C classes, P pairs of runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from taskdiscovery.errors import ConfigError
from taskdiscovery.estimation.case import Case
from taskdiscovery.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """A way to tell accuracy without labels.

    Attributes:
        function: from a case to the accuracy, in [0, 1].
        words: what it does, in a line.
        source: where it comes from.
        runs: how many it needs.
    """

    function: Callable[[Case], float]
    words: str
    source: str
    runs: int = 1


def held_out(case: Case) -> float:
    """Return the accuracy on the calibration images: right where nothing has shifted."""
    return float(case.correct_Km.mean())


def average_confidence(case: Case) -> float:
    """Return the mean probability of the predicted class."""
    return float(case.unlabelled.confidence_KN.mean())


def scaled_confidence(case: Case) -> float:
    """Return the mean confidence after temperature scaling on the calibration images."""
    return float(case.unlabelled.scaled_KN.mean())


def difference_of_confidences(case: Case) -> float:
    """Return the held-out accuracy, less what confidence falls by (Guillory et al., 2021)."""
    fall = case.calibration.confidence_KN.mean() - case.unlabelled.confidence_KN.mean()
    return _within(held_out(case) - float(fall))


def thresholded_confidence(case: Case) -> float:
    """Return the share of images whose confidence is above a threshold (Garg et al., 2022)."""
    return _above(case, case.calibration.confidence_KN, case.unlabelled.confidence_KN)


def thresholded_entropy(case: Case) -> float:
    """Return the share of images whose negative entropy is above a threshold (Garg et al.)."""
    return _above(case, case.calibration.certainty_KN, case.unlabelled.certainty_KN)


def agreement_as_accuracy(case: Case) -> float:
    """Return the agreement score on the unlabelled images (Jiang et al., 2022).

    Raises:
        ConfigError: for fewer than two runs.
    """
    return float(_pairs_of(case.unlabelled.predicted_KN).mean())


def difference_of_agreements(case: Case) -> float:
    """Return the held-out accuracy, plus what agreement rises by.

    Raises:
        ConfigError: for fewer than two runs.
    """
    before_P = _pairs_of(case.calibration.predicted_KN)
    after_P = _pairs_of(case.unlabelled.predicted_KN)
    return _within(held_out(case) + float(after_P.mean() - before_P.mean()))


def agreement_on_the_line(case: Case) -> float:
    """Return the held-out accuracy, moved along the line of agreements (Baek et al., 2022).

    On the scale of the normal quantile the agreements of pairs of runs on the unlabelled images lie
    on a line over those on the calibration images. Accuracy is read off the same line, run by run.
    Where all pairs agree alike on the calibration images the line has slope 1.

    Raises:
        ConfigError: for fewer than three runs.
    """
    m, n = len(case.labels_m), case.unlabelled.predicted_KN.shape[1]
    before_P = _probit(_pairs_of(case.calibration.predicted_KN, runs=3), m)
    after_P = _probit(_pairs_of(case.unlabelled.predicted_KN, runs=3), n)
    offset_P = before_P - before_P.mean()
    spread = float((offset_P**2).sum())
    slope = float((offset_P * after_P).sum()) / spread if spread > 1e-12 else 1.0
    accuracy_K = _probit(case.correct_Km.mean(axis=1), m)
    return float(special.ndtr(after_P.mean() + slope * (accuracy_K - before_P.mean())).mean())


def pair_agreements(predicted_KN: IntArray) -> FloatArray:
    """Return the (P,) share of images on which each of the K(K-1)/2 pairs of runs agree."""
    K = len(predicted_KN)
    return np.array(
        [(predicted_KN[j] == predicted_KN[k]).mean() for k in range(K) for j in range(k)]
    )


def _pairs_of(predicted_KN: IntArray, runs: int = 2) -> FloatArray:
    """Return the agreements of the pairs, of so many runs or more."""
    require_runs(len(predicted_KN), runs)
    return pair_agreements(predicted_KN)


def require_runs(K: int, runs: int) -> None:
    """Refuse fewer runs than an estimate compares.

    Raises:
        ConfigError: saying how many.
    """
    if runs > K:
        raise ConfigError(
            f"this estimate compares {runs} runs or more, and there are {K}",
            hint=f"train {runs} runs or more, or ask for another estimator",
        )


def _above(case: Case, before_Km: FloatArray, after_Kn: FloatArray) -> float:
    """Return the mean over runs of the share of unlabelled images with a score above a threshold.

    The threshold is the score of the image at which as many calibration images have been passed,
    from the greatest down, as the run is right on. Images that tie with it count by the share that
    makes the calibration share equal accuracy: confidences of 1.0 are often many.
    """
    shares_K = np.zeros(case.K)
    for k, right in enumerate(case.correct_Km.sum(axis=1)):
        if right == 0:
            continue
        threshold = np.partition(before_Km[k], -right)[-right]
        above, level = (before_Km[k] > threshold).sum(), (before_Km[k] == threshold).sum()
        tied = (right - above) / level
        shares_K[k] = (after_Kn[k] > threshold).mean() + tied * (after_Kn[k] == threshold).mean()
    return _within(float(shares_K.mean()))


def _probit(share: FloatArray, images: int) -> FloatArray:
    """Return the normal quantile, half an image away from its ends, where it is infinite."""
    return special.ndtri(np.clip(share, 0.5 / images, 1 - 0.5 / images))


def _within(value: float) -> float:
    return min(1.0, max(0.0, value))


#: by name. `line.estimator` makes one more, of other labelings.
ESTIMATORS = {
    "held-out": Estimator(
        function=held_out,
        words="accuracy on the calibration images, as it is",
        source="the row that others must beat",
    ),
    "confidence": Estimator(
        function=average_confidence,
        words="mean confidence",
        source="Hendrycks & Gimpel, ICLR 2017 (arXiv 1610.02136)",
    ),
    "scaled-confidence": Estimator(
        function=scaled_confidence,
        words="mean confidence after temperature scaling",
        source="Guo et al., ICML 2017 (arXiv 1706.04599)",
    ),
    "confidence-difference": Estimator(
        function=difference_of_confidences,
        words="held-out accuracy less the fall of mean confidence",
        source="Guillory et al., ICCV 2021 (arXiv 2107.03315)",
    ),
    "threshold-confidence": Estimator(
        function=thresholded_confidence,
        words="share of images above a threshold of confidence",
        source="Garg et al., ICLR 2022 (arXiv 2201.04234)",
    ),
    "threshold-entropy": Estimator(
        function=thresholded_entropy,
        words="share of images above a threshold of negative entropy",
        source="Garg et al., ICLR 2022 (arXiv 2201.04234)",
    ),
    "agreement": Estimator(
        function=agreement_as_accuracy,
        words="agreement of runs, read as accuracy",
        source="Jiang et al., ICLR 2022 (arXiv 2106.13799)",
        runs=2,
    ),
    "agreement-difference": Estimator(
        function=difference_of_agreements,
        words="held-out accuracy plus the change of agreement",
        source="after Jiang et al., ICLR 2022, and Guillory et al., ICCV 2021",
        runs=2,
    ),
    "agreement-line": Estimator(
        function=agreement_on_the_line,
        words="held-out accuracy moved along the line of the pairs' agreements",
        source="Baek et al., NeurIPS 2022 (arXiv 2206.13089), ALine-S",
        runs=3,
    ),
}
