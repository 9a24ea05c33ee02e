"""What the other labelings that a learner was scored on say of a labeling's accuracy.

`score` knows accuracy by the labeling's own labels. What agreement alone would have told stands
beside it: the bound, and a curve that was fitted to the other labelings of the table, so that one
sees how far agreement may be read as accuracy with this learner and data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.estimation.curve import Agreed, Curve
from taskdiscovery.estimation.limits import greatest_accuracy
from taskdiscovery.types import Score

LEVEL = 0.9


class Told(NamedTuple):
    """What agreement tells of a labeling's accuracy; None where it tells nothing.

    Attributes:
        at_most: (1 + AS)/2.
        value: by the curve through the others, and `low`, `high`, its 90 % interval.
        refused: why there is no such value, or empty.
    """

    at_most: float
    value: float | None
    low: float | None
    high: float | None
    refused: str


def told(scores: Sequence[Score]) -> list[Told]:
    """Tell each labeling's accuracy from its agreement, and from the other labelings.

    Args:
        scores: of one learner, trained alike.
    """
    known = [i for i, score in enumerate(scores) if not math.isnan(score.accuracy)]
    agreed = [agreed_of(score) for score in scores]
    found = []
    for i, score in enumerate(scores):
        others = [j for j in known if j != i]
        at_most = greatest_accuracy(score.agreement)
        try:
            curve = Curve.fit(
                [agreed[j] for j in others], np.array([scores[j].accuracy for j in others])
            )
            low, high = curve.interval(agreed[i], LEVEL)
        except DataError as error:
            found.append(Told(at_most, None, None, None, error.what))
        else:
            found.append(Told(at_most, curve.predict(agreed[i]), low, high, ""))
    return found


def agreed_of(score: Score) -> Agreed:
    """Return agreement and chance of a score.

    A score keeps how often runs agree by chance, and the rate r of one class among the labels. Two
    classes that are predicted with rates p and 1 - p agree by chance with p^2 + (1 - p)^2, at least
    one half; p is on the side of one half on which r is, and runs are right by chance with
    p r + (1 - p)(1 - r). Below one half there are more classes, none of which is most of all: then
    runs are taken to be right by chance as often as they agree.
    """
    right = score.chance
    if score.chance >= 0.5:
        away = math.sqrt(2 * score.chance - 1) / 2
        p, r = 0.5 + math.copysign(away, score.rate - 0.5), score.rate
        right = p * r + (1 - p) * (1 - r)
    return Agreed(score=score.agreement, chance=score.chance, right=right)
