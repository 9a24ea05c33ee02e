"""Area under the ROC curve of many scores at once, and its interval.

Axes: N images, W words.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from taskdiscovery.types import BoolArray, FloatArray

_HAIR = 1e-9


def ranks(scores_NW: FloatArray) -> FloatArray:
    """Return (N, W) the rank of each image by each word, from 1; images that tie share a rank."""
    return np.asarray(rankdata(scores_NW, axis=0), dtype=np.float64)


def aucs(ranks_NW: FloatArray, side_N: BoolArray) -> FloatArray:
    """Return (W,) the chance that an image of one side scores above one of the other.

    Args:
        ranks_NW: as `ranks` gives them.
        side_N: (N,) the side; both sides have images.
    """
    inside = int(side_N.sum())
    pairs = inside * (len(side_N) - inside)
    above_W = side_N.astype(np.float64) @ ranks_NW - inside * (inside + 1) / 2
    return np.asarray(above_W / pairs, dtype=np.float64)


def interval(auc: float, inside: int, outside: int, level: float = 0.95) -> tuple[float, float]:
    """Return an interval for an AUC that never leaves [0, 1], nor shrinks to nothing at 1.

    The values at which a score test with the variance of Hanley and McNeil (1982) does not reject,
    with their two counts replaced by the mean of both: method 5 of Newcombe, "Confidence intervals
    for an effect size measure based on the Mann-Whitney statistic. Part 2", 2006.

    Args:
        auc: as measured.
        inside, outside: images on either side.
        level: of confidence.
    """
    z2 = float(norm.ppf((1 + level) / 2)) ** 2
    more = (inside + outside) / 2 - 1

    def excess(true: float) -> float:
        spread = true * (1 - true) * (1 + more * ((1 - true) / (2 - true) + true / (1 + true)))
        return (true - auc) ** 2 - z2 * spread / (inside * outside)

    # The measured value itself is a root where it is 0 or 1: looked for a hair beside it.
    low = 0.0 if auc <= 0 else float(brentq(excess, 0.0, auc * (1 - _HAIR)))
    high = 1.0 if auc >= 1 else float(brentq(excess, auc + (1 - auc) * _HAIR, 1.0))
    return low, high
