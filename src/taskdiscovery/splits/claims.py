"""What a rule says: a sentence, whether it holds, and what "clearly" means.

"Clearly" means: the 95 % interval of the difference of two accuracies does not touch zero. The
interval is made of those of the two (method of variance estimates recovery, Zou and Donner 2008),
as if the two were independent; images and runs that they share make it too wide, not too narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.types import Interval


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence, and whether what it is about holds.

    Attributes:
        name: of the rule.
        holds: whether the rule is met; None where the numbers do not say.
        text: to be shown.
    """

    name: str
    holds: bool | None
    text: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How much one accuracy lies above another, with a 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.0f} points ({100 * self.low:.0f} to {100 * self.high:.0f})"


def difference(above: Interval, below: Interval) -> Difference:
    """Return how much the first lies above the second."""
    mean = above.mean - below.mean
    down = ((above.mean - above.low) ** 2 + (below.high - below.mean) ** 2) ** 0.5
    up = ((above.high - above.mean) ** 2 + (below.mean - below.low) ** 2) ** 0.5
    return Difference(mean=mean, low=mean - down, high=mean + up)


def with_interval(own: Interval) -> str:
    """Write a mean and its interval in percent."""
    return f"{own.mean:.0%} ({100 * own.low:.0f} to {100 * own.high:.0f} %)"
