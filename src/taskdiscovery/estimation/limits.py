"""What agreement alone proves of accuracy: a limit from above, and next to none from below.

Theorem. K >= 2 runs with agreement score AS on some images have a mean accuracy of at most
(1 + AS)/2 on these images, whatever their labels are.

Proof. Take an image and two runs j, k. Where both are right both predict its label, so they agree:
    1[j right] + 1[k right] <= 1 + 1[j and k agree],
since the left side is 2 only where the last term is 1. Average over the images and halve: the mean
accuracy of j and k is at most (1 + A_jk)/2. Average over the K(K-1)/2 pairs: every run is in K - 1
of them, so on the left stands the mean accuracy of the K runs, on the right (1 + AS)/2. QED.

It needs no calibration, no assumption on the shift and no sampling: it is true of these images. For
two runs it is attained, by labels that equal one run's predictions where they differ and both
runs' where they agree. For more runs `extremes` has the limits that are attained.

It has no counterpart from below: labels that no run predicts on any image make accuracy 0, and
with more classes than runs there always are such.

Axes: K runs, n images, C classes.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.estimators import agreement_as_accuracy
from taskdiscovery.types import IntArray


def greatest_accuracy(score: float) -> float:
    """Return (1 + AS)/2, the most that the mean accuracy of runs with agreement score AS can be."""
    return (1 + score) / 2


def bound(case: Case) -> float:
    """Return (1 + AS)/2 on the unlabelled images.

    Raises:
        ConfigError: for fewer than two runs.
    """
    return greatest_accuracy(agreement_as_accuracy(case))


def extremes(predicted_Kn: IntArray, classes: int) -> tuple[float, float]:
    """Return the least and the greatest mean accuracy that any labels of the images allow.

    On an image the mean accuracy of the runs is the share of runs that predict its label. So the
    mean over images of the least and of the greatest share are attained, and the second is never
    above (1 + AS)/2: by the proof above, with each of the classes as the label.

    Args:
        predicted_Kn: (K, n) predicted classes in [0, classes), K >= 1.
        classes: C.
    """
    votes_Cn = np.stack([(predicted_Kn == c).mean(axis=0) for c in range(classes)])
    return float(votes_Cn.min(axis=0).mean()), float(votes_Cn.max(axis=0).mean())
