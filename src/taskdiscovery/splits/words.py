"""What may be said of a split: each sentence follows from a rule that can come out the other way.

`docs/splits.md` lists the rules.
"""

from __future__ import annotations

from collections.abc import Callable

from taskdiscovery.splits.accuracies import (
    alike,
    beside_controls,
    breaks,
    constant,
    few,
    learnable,
    learnt,
    noise,
    unevenness,
)
from taskdiscovery.splits.claims import Claim
from taskdiscovery.splits.making import about, copied, covered, made, sides, tie, unseen
from taskdiscovery.types import Split


def claims(split: Split) -> list[Claim]:
    """Return all that may be said of a split, in the order in which it is told."""
    if not {"adversarial", "random", "within"} <= set(split.accuracy):
        return []
    told = (rule(split) for rule in RULES)
    return [own for own in told if own is not None]


def claim(split: Split, name: str) -> Claim | None:
    """Return the claim of a rule, or None where there is nothing to say."""
    return next((own for own in claims(split) if own.name == name), None)


#: the rules, in the order in which their sentences are told.
RULES: tuple[Callable[[Split], Claim | None], ...] = (
    made,
    about,
    breaks,
    learnable,
    learnt,
    beside_controls,
    noise,
    constant,
    unevenness,
    sides,
    tie,
    alike,
    few,
    unseen,
    copied,
    covered,
)
