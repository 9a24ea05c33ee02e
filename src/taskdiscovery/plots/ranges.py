"""Means with their intervals, a row each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskdiscovery.plots.axes import COLOURS, axes_of, plain, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Row:
    """A mean with its interval.

    Attributes:
        name: written beside it.
        mean, low, high: the estimate, and the ends of its 95 % interval.
        kind: what its colour says, a key of `COLOURS`.
    """

    name: str
    mean: float
    low: float
    high: float
    kind: str = ""


def draw_ranges(
    rows: Sequence[Row],
    *,
    label: str,
    title: str = "",
    limits: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a dot and an interval per row, the first row on top.

    Args:
        rows: any number.
        label: of the axis.
        title: of the figure.
        limits: of the axis; by default as wide as the rows need.
        ax: to draw on, or None.
    """
    ax = axes_of(ax, 6.4, 1.1 + 0.27 * len(rows))
    for y, row in enumerate(rows):
        colour = COLOURS[row.kind]
        ax.plot([row.low, row.high], [y, y], color=colour, linewidth=2.4, solid_capstyle="round")
        ax.plot([row.mean], [y], "o", color=colour, markersize=6)
    ax.set_yticks(range(len(rows)), [short(row.name) for row in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xlim(limits or _limits(rows))
    ax.set_xlabel(label)
    if title:
        ax.set_title(short(title, 72), loc="left", fontsize="medium")
    ax.grid(axis="x", alpha=0.25)
    ax.tick_params(axis="y", length=0)
    plain(ax, left=False)
    return ax


def _limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return a range within [0, 1] that begins a tenth below the least end."""
    ends = [end for row in rows for end in (row.low, row.mean) if math.isfinite(end)]
    least = min(ends, default=0.0)
    return max(0.0, math.floor(least * 10 - 0.5) / 10), 1.02
