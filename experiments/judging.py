"""From what held for each learner, or each case, to the word of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from experiments.study import Verdict


def word(held: Sequence[bool]) -> Literal["holds", "does not", "differs"]:
    """Say `holds` where it held in all cases, `does not` where in none, else `differs`."""
    if not held:
        raise ValueError("a verdict needs at least one case")
    return "holds" if all(held) else "differs" if any(held) else "does not"


def verdict(cases: Sequence[tuple[bool, str]]) -> Verdict:
    """Return the verdict of several cases, each with what was measured in it."""
    return Verdict(
        word=word([held for held, _ in cases]), ours="; ".join(said for _, said in cases)
    )
