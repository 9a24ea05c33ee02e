"""Differences with intervals, over things that were measured both ways.

Axes: S seeds, L labelings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from experiments.records import Row


def difference(first: Sequence[float], second: Sequence[float]) -> Row:
    """Return the mean of first less second with a 95 % interval of Student's t.

    Args:
        first: one value a unit: a seed, or a labeling averaged over its seeds.
        second: of the same units, in the same order.

    Raises:
        ValueError: where there are fewer than two units, or other numbers of them.
    """
    if len(first) != len(second) or len(first) < 2:
        raise ValueError(f"{len(first)} and {len(second)} values make no paired difference")
    left = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    half = float(stats.t.ppf(0.975, len(left) - 1) * left.std(ddof=1) / np.sqrt(len(left)))
    mean = float(left.mean())
    return {
        "mean": round(mean, 4),
        "low": round(mean - half, 4),
        "high": round(mean + half, 4),
        "units": len(left),
    }


def by_name(rows: Sequence[Row], value: str = "agreement") -> dict[str, float]:
    """Return the mean value of each labeling over its seeds, by the name of the labeling."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(str(row["task"]), []).append(float(row[value]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def between(first: Sequence[Row], second: Sequence[Row], value: str = "agreement") -> Row:
    """Compare two conditions under which the same labelings were measured; a unit is a labeling."""
    ours, theirs = by_name(first, value), by_name(second, value)
    names = [name for name in ours if name in theirs]
    return difference([ours[n] for n in names], [theirs[n] for n in names])


def told(own: Row) -> str:
    """Write a difference: `+0.031 [+0.020, +0.042]`."""
    return f"{own['mean']:+.3f} [{own['low']:+.3f}, {own['high']:+.3f}]"
