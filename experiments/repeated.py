"""Labelings scored under several seeds: one row each, and what is said of a condition.

Axes: S seeds, L labelings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from experiments.judging import verdict
from experiments.paired import difference
from experiments.records import Row
from experiments.study import Verdict

MEASURES = ("agreement", "kappa", "accuracy")


def over_seeds(scored: Sequence[Sequence[Row]]) -> list[Row]:
    """Return one row a labeling: means over seeds, and the agreement under each.

    Args:
        scored: for each of S seeds the rows of the same L labelings, in the same order.
    """
    rows = []
    for own in zip(*scored, strict=True):
        means = {key: round(float(np.mean([r[key] for r in own])), 4) for key in MEASURES}
        rows.append(
            {
                "task": own[0]["task"],
                "kind": own[0]["kind"],
                **means,
                "by_seed": [round(r["agreement"], 4) for r in own],
                "precision": own[0]["precision"],
                "seconds": round(sum(r["seconds"] for r in own), 1),
            }
        )
    return rows


def average(rows: Iterable[Row], value: str = "agreement") -> float:
    """Return the mean of a value over rows."""
    return float(np.mean([row[value] for row in rows]))


def of_kinds(rows: Iterable[Row], *kinds: str) -> list[Row]:
    """Return the rows of labelings of some kinds."""
    return [row for row in rows if row["kind"] in kinds]


def over_kinds(rows: Iterable[Row], first: str, second: str, value: str = "by_seed") -> Row:
    """Compare the means of two kinds of labelings; a unit is a seed.

    Args:
        rows: as of `over_seeds`.
        first, second: kinds.
        value: a list of one number a seed.
    """
    rows = list(rows)
    means = [np.mean([r[value] for r in of_kinds(rows, kind)], axis=0) for kind in (first, second)]
    return difference(means[0].tolist(), means[1].tolist())


def of_all(results: Sequence[Row], found: Callable[[Row], tuple[bool, str]]) -> Verdict:
    """Judge a claim that is made of every learner: it holds where it holds of all of them.

    Args:
        results: one a learner.
        found: of a result, whether the claim holds of it, and what was measured.
    """
    each = [(result["learner"], *found(result)) for result in results]
    return verdict(
        [
            (holds, f"`{learner}` {ours}" + ("" if holds else " (no)"))
            for learner, holds, ours in each
        ]
    )
