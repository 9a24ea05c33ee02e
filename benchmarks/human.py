"""The human tasks of the paper: ways to cut ten classes five against five."""

from __future__ import annotations

from itertools import combinations

#: all 126 of them, in the order in which the paper numbers them: the side of class 0.
HUMAN = [classes for classes in combinations(range(10), 5) if 0 in classes]
#: the seven core ones.
CORE = (0, 11, 18, 27, 31, 38, 40)


def target(number: int) -> str:
    """Return the target SPEC of a human task, e.g. `label:0,1,2,3,4` for 0."""
    return f"label:{','.join(map(str, HUMAN[number]))}"
