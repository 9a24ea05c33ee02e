"""Accuracy from agreement by a line, fitted on other labelings that the same learner was given.

Agreement less accuracy differs from learner to learner; for one learner it is about the same from
labeling to labeling. So labelings with known accuracy say what an agreement score is worth.

Where labelings differ in their number of classes, or in how often the classes are, `curve` misses
less. Intervals are conformal (`conformal`): they cover where the pairs (AS, accuracy) of the
labelings and of the one that is asked about are exchangeable.

Axes: L labelings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.estimation import conformal
from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.estimators import Estimator, agreement_as_accuracy
from taskdiscovery.types import FloatArray

#: a line through two points says nothing of how far it misses.
_LEAST = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Line:
    """A straight line from agreement to accuracy.

    Attributes:
        scores_L: agreement score of each labeling, on images that no run was trained on.
        accuracies_L: mean accuracy of the runs on the same images.
        slope, intercept: of the line of least squares; slope 0 where all scores are alike.
    """

    scores_L: FloatArray
    accuracies_L: FloatArray
    slope: float
    intercept: float

    @classmethod
    def fit(cls, scores_L: FloatArray, accuracies_L: FloatArray) -> Line:
        """Fit a line by least squares.

        Raises:
            DataError: for fewer than three labelings.
            ValueError: where the two differ in number.
        """
        if len(scores_L) != len(accuracies_L):
            raise ValueError(f"{len(scores_L)} scores for {len(accuracies_L)} accuracies")
        if len(scores_L) < _LEAST:
            raise DataError(
                f"a line from agreement to accuracy needs {_LEAST} labelings or more, "
                f"got {len(scores_L)}",
                hint="score more labelings whose accuracy is known, with the same learner",
            )
        offset_L = scores_L - scores_L.mean()
        spread = float((offset_L**2).sum())
        slope = float((offset_L * accuracies_L).sum()) / spread if spread > 1e-12 else 0.0
        intercept = float(accuracies_L.mean() - slope * scores_L.mean())
        return cls(scores_L=scores_L, accuracies_L=accuracies_L, slope=slope, intercept=intercept)

    def predict(self, score: float) -> float:
        """Return the accuracy, in [0, 1], that goes with an agreement score."""
        return min(1.0, max(0.0, self.intercept + self.slope * score))

    @property
    def residuals_L(self) -> FloatArray:
        """(L,) accuracy of each labeling less what the line through the others says."""
        kept_LL = _residual_maker(self.scores_L)
        leverage_L = np.diag(kept_LL)
        # A labeling that alone has another score decides the slope: the others know none.
        alone_L = leverage_L < 1e-9
        others_L = (self.accuracies_L.sum() - self.accuracies_L) / (len(alone_L) - 1)
        left_L = (kept_LL @ self.accuracies_L) / np.where(alone_L, 1.0, leverage_L)
        return np.where(alone_L, self.accuracies_L - others_L, left_L)

    def interval(self, score: float, level: float = 0.9) -> tuple[float, float]:
        """Return accuracies between which the truth lies with probability `level` or more.

        Args:
            score: agreement score of the labeling that is asked about.
            level: coverage, over draws of all L + 1 labelings.

        Raises:
            DataError: where no set smaller than everything can have the coverage.
        """
        kept_LL = _residual_maker(np.append(self.scores_L, score))
        return conformal.interval(kept_LL, self.accuracies_L, self.predict(score), 0.0, level)

    def __call__(self, case: Case) -> float:
        """Return the accuracy that goes with the agreement on the unlabelled images."""
        return self.predict(agreement_as_accuracy(case))


def estimator(line: Line) -> Estimator:
    """Return the estimator that reads agreement off a line, as a row of `ESTIMATORS`."""
    return Estimator(
        function=line,
        words=f"agreement, read off a line through {len(line.scores_L)} other labelings",
        source="ours (docs/estimate.md)",
        runs=2,
    )


def _residual_maker(scores_L: FloatArray) -> FloatArray:
    """Return the (L, L) matrix that takes accuracies to residuals of their line."""
    L = len(scores_L)
    offset_L = scores_L - scores_L.mean()
    spread = float((offset_L**2).sum())
    tilt_LL = np.outer(offset_L, offset_L) / spread if spread > 1e-12 else np.zeros((L, L))
    return np.eye(L) - 1 / L - tilt_LL
