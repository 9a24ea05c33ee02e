"""Estimates for each class, by what is predicted and by what is true.

By predicted class: images fall into groups by the class that the runs predict together (the mean
of their probabilities), calibration and unlabelled images alike. An estimator is then asked of each
group: "of the images that are taken for c, on what share are the runs right?" The groups need no
labels and are the same for all runs, so every estimator and the bound are defined for them.
Temperatures stay those of all calibration images.

By true class: the true classes of unlabelled images are unknown, so this needs an assumption. It is
that in each group the answers that are right, and those that are wrong, belong to the true classes
as they do on the calibration images. With s_g the share of unlabelled images in group g, a_g its
estimated accuracy, u_gc and e_gc the shares of class c among the right and the wrong answers of the
group on calibration images,
    rate of class c      q_c = sum_g s_g (a_g u_gc + (1 - a_g) e_gc),
    accuracy on class c  r_c = sum_g s_g a_g u_gc / q_c,
so that sum_c q_c r_c = sum_g s_g a_g. Groups that cannot be estimated are left out of all sums.

Axes: K runs, m calibration images, n unlabelled images, C classes (also of groups).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taskdiscovery.estimation.case import Case
from taskdiscovery.types import FloatArray


@dataclass(frozen=True, eq=False, kw_only=True)
class ByClass:
    """An estimate for each class; NaN where it cannot be told.

    Attributes:
        predicted_C: accuracy on the unlabelled images that the runs together take for the class.
        shares_C: the share of unlabelled images that they are.
        true_C: accuracy on the unlabelled images of the class.
        rates_C: the estimated share of unlabelled images that they are.
    """

    predicted_C: FloatArray
    shares_C: FloatArray
    true_C: FloatArray
    rates_C: FloatArray


def by_class(case: Case, function: Callable[[Case], float], least: int = 1) -> ByClass:
    """Ask an estimator of each class.

    Args:
        case: with images of every class in its calibration.
        function: the estimator.
        least: how many calibration images a group, or a class, needs to be told.

    Raises:
        ConfigError: where the estimator needs more runs.
    """
    C = case.classes
    seen_C = np.bincount(case.calibration.together_N, minlength=C)
    asked_C = np.bincount(case.unlabelled.together_N, minlength=C)
    predicted_C = np.full(C, np.nan)
    for c in np.flatnonzero((seen_C >= max(least, 1)) & (asked_C > 0)):
        predicted_C[c] = function(group(case, int(c)))
    shares_C = asked_C / asked_C.sum()
    joint_CC, rates_C = _by_truth(case, predicted_C, shares_C)
    enough_C = np.bincount(case.labels_m, minlength=C) >= least
    true_C = np.full(C, np.nan)
    np.divide(joint_CC.sum(axis=0), rates_C, out=true_C, where=(rates_C > 0) & enough_C)
    return ByClass(predicted_C=predicted_C, shares_C=shares_C, true_C=true_C, rates_C=rates_C)


def group(case: Case, c: int) -> Case:
    """Return the images that the runs together take for a class."""
    return case.images(case.calibration.together_N == c, case.unlabelled.together_N == c)


def _by_truth(
    case: Case, predicted_C: FloatArray, shares_C: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the share of images of group g and class c that are right, and the rate of c."""
    C = case.classes
    right_CC, wrong_CC = np.zeros((C, C)), np.zeros((C, C))
    places = case.calibration.together_N, case.labels_m
    np.add.at(right_CC, places, case.correct_Km.mean(axis=0))
    np.add.at(wrong_CC, places, 1 - case.correct_Km.mean(axis=0))
    told_C = ~np.isnan(predicted_C)
    s_C = np.where(told_C, shares_C, 0)
    s_C = s_C / max(s_C.sum(), 1e-300)
    a_C = np.where(told_C, predicted_C, 0)
    joint_CC = (s_C * a_C)[:, None] * _spread(right_CC, wrong_CC)
    missed_CC = (s_C * (1 - a_C))[:, None] * _spread(wrong_CC, right_CC)
    return joint_CC, (joint_CC + missed_CC).sum(axis=0)


def _spread(counts_CC: FloatArray, otherwise_CC: FloatArray) -> FloatArray:
    """Return the shares of true classes in each group.

    Where no answer of a group was of the kind (none was wrong, or none right), they are those of
    its other answers: its images are of these classes.
    """
    none_C = counts_CC.sum(axis=1) < 1e-12
    counts_CC = np.where(none_C[:, None], otherwise_CC, counts_CC)
    return counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1e-300)
