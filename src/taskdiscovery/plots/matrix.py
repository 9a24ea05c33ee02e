"""A matrix as shaded squares with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taskdiscovery.plots.axes import axes_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: numbers are written into the squares of matrices of at most so many columns.
_WRITTEN = 16


def draw_matrix(
    values: Any,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    label: str,
    limits: tuple[float, float],
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix; what is not a number stays empty.

    Args:
        values: (R, C) numbers.
        rows, columns: R and C names.
        label: of the scale of colours, which is the figure's title.
        limits: values of the palest and of the darkest colour.
        ax: to draw on, or None.
    """
    side = 0.42 if len(columns) <= _WRITTEN else 0.24
    ax = axes_of(ax, 2.2 + side * len(columns), 1.4 + side * len(rows))
    low, high = limits
    ax.imshow(values, cmap="Oranges", vmin=low, vmax=high, aspect="auto")
    ax.set_xticks(range(len(columns)), [short(name) for name in columns], rotation=60, ha="right")
    ax.set_yticks(range(len(rows)), [short(name) for name in rows])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_title(label, loc="left", fontsize="medium")
    if len(columns) > _WRITTEN:
        return ax
    for y in range(len(rows)):
        for x in range(len(columns)):
            value = float(values[y][x])
            if value == value:
                dark = value > low + 0.6 * (high - low)
                colour = "white" if dark else "black"
                ax.text(x, y, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=7)
    return ax
