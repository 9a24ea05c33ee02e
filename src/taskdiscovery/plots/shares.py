"""A histogram of shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.plots.axes import COLOURS, axes_of, plain, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_shares(values_n: Any, *, label: str, title: str = "", ax: Axes | None = None) -> Axes:
    """Draw how many images have which share.

    Args:
        values_n: (n,) shares in [0, 1]; what is not a number is left out.
        label: of the axis.
        title: of the figure.
        ax: to draw on, or None.
    """
    ax = axes_of(ax, 5.2, 2.8)
    values = np.asarray(values_n, dtype=np.float64)
    values = values[np.isfinite(values)]
    ax.hist(values, bins=np.linspace(0, 1, 21).tolist(), color=COLOURS[""], rwidth=0.9)
    ax.set_xlim(0, 1)
    ax.set_xlabel(label)
    ax.set_ylabel("images")
    if title:
        ax.set_title(short(title, 72), loc="left", fontsize="medium")
    plain(ax)
    return ax
