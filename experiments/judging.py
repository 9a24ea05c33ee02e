"""From what held for each learner, or each case, to the word of a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal


def word(held: Sequence[bool]) -> Literal["holds", "does not", "differs"]:
    """Say `holds` where it held in all cases, `does not` where in none, else `differs`."""
    if not held:
        raise ValueError("a verdict needs at least one case")
    return "holds" if all(held) else "differs" if any(held) else "does not"
