"""What estimators see: what K runs say of labelled calibration images, and of unlabelled ones.

Every estimator needs a few numbers for each run and image, which are taken from the probabilities
once. So a case can be resampled hundreds of times without touching the probabilities again.

Temperature scaling (Guo et al., ICML 2017) divides the logits of a run by one number that minimizes
the negative log likelihood of the calibration labels. We search its inverse, beta, in which that is
convex. In a resampled case beta moves by one Newton step, and the confidences by their derivative:
exact to first order, which is what a variance needs.

Axes: K runs, m calibration images, n unlabelled images, N either, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from taskdiscovery.types import BoolArray, FloatArray, IntArray, Matrix

#: the greatest and the least temperature are their inverses; a run that is right on every
#: calibration image would have none.
_BETAS = (0.05, 20.0)
#: what a probability counts as at least, in logarithms: softmax in float32 rounds to 0.
_TINY = 1e-12


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """What K runs say of N images.

    Attributes:
        predicted_KN: the likeliest class.
        confidence_KN: its probability.
        certainty_KN: the negative entropy of the probabilities, in nats; 0 is certain.
        scaled_KN: the confidence after temperature scaling.
        slope_KN: its derivative with respect to the inverse temperature.
        together_N: the likeliest class by the mean of the runs' probabilities.
    """

    predicted_KN: IntArray
    confidence_KN: FloatArray
    certainty_KN: FloatArray
    scaled_KN: FloatArray
    slope_KN: FloatArray
    together_N: IntArray

    @classmethod
    def of(cls, probabilities_KNC: Matrix, betas_K: FloatArray) -> Answers:
        """Take the numbers from probabilities, run by run."""
        K, N, C = probabilities_KNC.shape
        predicted_KN = np.empty((K, N), dtype=np.int64)
        confidence_KN, certainty_KN, scaled_KN, slope_KN = np.empty((4, K, N))
        total_NC = np.zeros((N, C))
        for k, beta in enumerate(betas_K):
            p_NC = probabilities_KNC[k].astype(np.float64)
            log_NC = logarithms(p_NC)
            total_NC += p_NC
            predicted_KN[k] = p_NC.argmax(axis=1)
            confidence_KN[k] = p_NC.max(axis=1)
            certainty_KN[k] = (p_NC * log_NC).sum(axis=1)
            q_NC = softened(log_NC, beta)
            scaled_KN[k] = q_NC.max(axis=1)
            slope_KN[k] = scaled_KN[k] * (log_NC.max(axis=1) - (q_NC * log_NC).sum(axis=1))
        return cls(
            predicted_KN=predicted_KN,
            confidence_KN=confidence_KN,
            certainty_KN=certainty_KN,
            scaled_KN=scaled_KN,
            slope_KN=slope_KN,
            together_N=total_NC.argmax(axis=1),
        )

    def images(self, rows: IntArray | BoolArray) -> Answers:
        """Return what the runs say of some of the images."""
        return Answers(
            predicted_KN=self.predicted_KN[:, rows],
            confidence_KN=self.confidence_KN[:, rows],
            certainty_KN=self.certainty_KN[:, rows],
            scaled_KN=self.scaled_KN[:, rows],
            slope_KN=self.slope_KN[:, rows],
            together_N=self.together_N[rows],
        )

    def runs(self, kept_k: IntArray) -> Answers:
        """Return what some of the runs say; `together_N` stays that of all."""
        return Answers(
            predicted_KN=self.predicted_KN[kept_k],
            confidence_KN=self.confidence_KN[kept_k],
            certainty_KN=self.certainty_KN[kept_k],
            scaled_KN=self.scaled_KN[kept_k],
            slope_KN=self.slope_KN[kept_k],
            together_N=self.together_N,
        )

    def moved(self, steps_K: FloatArray) -> Answers:
        """Return the same with inverse temperatures that differ by a small step."""
        scaled_KN = np.clip(self.scaled_KN + self.slope_KN * steps_K[:, None], 0, 1)
        return Answers(**{**vars(self), "scaled_KN": scaled_KN})


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """What K runs say of m labelled calibration images and n unlabelled ones.

    Attributes:
        calibration: of images that no run was trained on.
        labels_m: (m,) their classes.
        unlabelled: of the images whose accuracy is asked for.
        classes: C.
        temperatures_K: fitted on the calibration images, one for each run.
        gradient_Km, curvature_Km: derivatives of each calibration image's negative log likelihood
            with respect to the inverse temperature.
    """

    calibration: Answers
    labels_m: IntArray
    unlabelled: Answers
    classes: int
    temperatures_K: FloatArray
    gradient_Km: FloatArray
    curvature_Km: FloatArray

    @classmethod
    def of(cls, probabilities_KmC: Matrix, labels_m: IntArray, probabilities_KnC: Matrix) -> Case:
        """Take a case from the softmax probabilities of K runs.

        Args:
            probabilities_KmC: (K, m, C) of the calibration images; rows sum to 1.
            labels_m: (m,) their classes, in [0, C).
            probabilities_KnC: (K, n, C) of the unlabelled images, by the same runs in the same
                order.

        Raises:
            ValueError: where shapes differ, nothing is given, labels are no classes, or
                probabilities are none.
        """
        _check(probabilities_KmC, labels_m, probabilities_KnC)
        K, m, C = probabilities_KmC.shape
        betas_K = np.empty(K)
        gradient_Km, curvature_Km = np.empty((2, K, m))
        for k in range(K):
            log_mC = logarithms(probabilities_KmC[k].astype(np.float64))
            betas_K[k] = inverse_temperature(log_mC, labels_m)
            gradient_Km[k], curvature_Km[k] = _derivatives(log_mC, labels_m, betas_K[k])
        return cls(
            calibration=Answers.of(probabilities_KmC, betas_K),
            labels_m=labels_m,
            unlabelled=Answers.of(probabilities_KnC, betas_K),
            classes=C,
            temperatures_K=1 / betas_K,
            gradient_Km=gradient_Km,
            curvature_Km=curvature_Km,
        )

    def asking(self, probabilities_KnC: Matrix) -> Case:
        """Return the same calibration, and other unlabelled images.

        Args:
            probabilities_KnC: (K, n, C) by the same runs.

        Raises:
            ValueError: as `of`.
        """
        shape = (self.K, len(self.labels_m), self.classes)
        _check_probabilities("unlabelled", probabilities_KnC)
        _check_alike(shape, probabilities_KnC.shape)
        return replace(self, unlabelled=Answers.of(probabilities_KnC, 1 / self.temperatures_K))

    @property
    def K(self) -> int:
        """The number of runs."""
        return len(self.temperatures_K)

    @property
    def correct_Km(self) -> BoolArray:
        """(K, m) True where a run is right."""
        return self.calibration.predicted_KN == self.labels_m

    def images(self, rows_m: IntArray | BoolArray, rows_n: IntArray | BoolArray) -> Case:
        """Return a part of the images, with the temperatures of all of them."""
        return Case(
            calibration=self.calibration.images(rows_m),
            labels_m=self.labels_m[rows_m],
            unlabelled=self.unlabelled.images(rows_n),
            classes=self.classes,
            temperatures_K=self.temperatures_K,
            gradient_Km=self.gradient_Km[:, rows_m],
            curvature_Km=self.curvature_Km[:, rows_m],
        )

    def resampled(self, rows_m: IntArray, rows_n: IntArray) -> Case:
        """Return drawn images, with temperatures fitted to them, to first order."""
        drawn = self.images(rows_m, rows_n)
        betas_K = 1 / self.temperatures_K
        # Where the search ended at a limit the mean gradient is not 0: only its change moves.
        change_K = drawn.gradient_Km.mean(axis=1) - self.gradient_Km.mean(axis=1)
        curvature_K = np.maximum(drawn.curvature_Km.mean(axis=1), _TINY)
        moved_K = np.clip(betas_K - change_K / curvature_K, *_BETAS)
        return Case(
            **{
                **vars(drawn),
                "calibration": drawn.calibration.moved(moved_K - betas_K),
                "unlabelled": drawn.unlabelled.moved(moved_K - betas_K),
                "temperatures_K": 1 / moved_K,
            }
        )

    def runs(self, kept_k: IntArray) -> Case:
        """Return what some of the runs say."""
        return Case(
            calibration=self.calibration.runs(kept_k),
            labels_m=self.labels_m,
            unlabelled=self.unlabelled.runs(kept_k),
            classes=self.classes,
            temperatures_K=self.temperatures_K[kept_k],
            gradient_Km=self.gradient_Km[kept_k],
            curvature_Km=self.curvature_Km[kept_k],
        )


def logarithms(p_NC: FloatArray) -> FloatArray:
    """Return log probabilities, which are logits up to a constant, none of them infinite."""
    return np.log(np.maximum(p_NC, _TINY))


def softened(log_NC: FloatArray, beta: float) -> FloatArray:
    """Return the (N, C) probabilities at an inverse temperature."""
    q_NC = np.exp(beta * (log_NC - log_NC.max(axis=1, keepdims=True)))
    return q_NC / q_NC.sum(axis=1, keepdims=True)


def inverse_temperature(log_mC: FloatArray, labels_m: IntArray) -> float:
    """Return the inverse temperature, in [0.05, 20], that minimizes the negative log likelihood."""

    def gradient(beta: float) -> float:
        return float(_derivatives(log_mC, labels_m, beta)[0].mean())

    low, high = _BETAS
    if gradient(low) >= 0:  # rises from the start: no information in the confidences
        return low
    if gradient(high) <= 0:
        return high
    return float(optimize.brentq(gradient, low, high, xtol=1e-6))


def _derivatives(
    log_mC: FloatArray, labels_m: IntArray, beta: float
) -> tuple[FloatArray, FloatArray]:
    """Return the first and second (m,) derivative of -log q(label) with respect to beta."""
    q_mC = softened(log_mC, beta)
    mean_m = (q_mC * log_mC).sum(axis=1)
    gradient_m = mean_m - log_mC[np.arange(len(labels_m)), labels_m]
    return gradient_m, (q_mC * (log_mC - mean_m[:, None]) ** 2).sum(axis=1)


def _check(calibration_KmC: Matrix, labels_m: IntArray, unlabelled_KnC: Matrix) -> None:
    """Refuse what is no case."""
    _check_probabilities("calibration", calibration_KmC)
    _check_probabilities("unlabelled", unlabelled_KnC)
    _, m, C = calibration_KmC.shape
    _check_alike(calibration_KmC.shape, unlabelled_KnC.shape)
    if labels_m.shape != (m,) or labels_m.min() < 0 or labels_m.max() >= C:
        raise ValueError(f"calibration needs {m} labels in [0, {C})")


def _check_probabilities(name: str, p_KNC: Matrix) -> None:
    if p_KNC.ndim != 3 or 0 in p_KNC.shape or p_KNC.shape[2] < 2:
        raise ValueError(f"{name} probabilities must be (runs, images, classes >= 2)")
    # a batch in float16 is off by a thousandth
    if not (p_KNC.min() >= 0 and np.abs(p_KNC.sum(axis=2) - 1).max() < 0.01):
        raise ValueError(f"{name} probabilities must be 0 or more and sum to 1")


def _check_alike(calibration: tuple[int, ...], unlabelled: tuple[int, ...]) -> None:
    (K, _, C), (runs, _, classes) = calibration, unlabelled
    if (runs, classes) != (K, C):
        raise ValueError(f"{K} runs and {C} classes are calibrated, {runs} and {classes} asked")
