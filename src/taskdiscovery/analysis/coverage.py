"""Does an embedding contain a labeling? A linear probe says so on images it was not fitted to.

Axes: N images, P coordinates.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from taskdiscovery.types import Document, IntArray, Matrix


def linear_probe(
    coordinates_NP: Matrix, labels_N: IntArray, fit: IntArray, measured: IntArray
) -> Document | None:
    """Fit a logistic regression from coordinates to a labeling; measure it on other images.

    Args:
        coordinates_NP: of the embedding.
        labels_N: (N,) classes, -1 where unknown.
        fit: rows to fit on.
        measured: rows to measure on.

    Returns:
        Accuracy with Wilson's 95 % interval, the accuracy of always naming the class that is
        commonest among those fitted on, and P; None where one class alone is known, or nothing is
        left to measure.
    """
    fit, measured = fit[labels_N[fit] >= 0], measured[labels_N[measured] >= 0]
    if len(np.unique(labels_N[fit])) < 2 or not len(measured):
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    probe.fit(coordinates_NP[fit], labels_N[fit])
    right = int((probe.predict(coordinates_NP[measured]) == labels_N[measured]).sum())
    interval = stats.binomtest(right, len(measured)).proportion_ci(method="wilson")
    commonest = np.bincount(labels_N[fit]).argmax()
    return {
        "accuracy": right / len(measured),
        "low": float(interval.low),
        "high": float(interval.high),
        "commonest_class": float((labels_N[measured] == commonest).mean()),
        "coordinates": int(coordinates_NP.shape[1]),
    }
