"""The axes that a figure is drawn on, and the colours that all of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskdiscovery.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: what a colour stands for, in every figure and on every page.
COLOURS = {
    "": "#c2571a",  # what was discovered or measured
    "human": "#3b6fb6",
    "random": "#8a8a8a",
    "bad": "#b3261e",
    "good": "#2e7d4f",
}


def axes_of(ax: Axes | None, width: float, height: float) -> Axes:
    """Return the axes that were given, or new ones of their own figure.

    Args:
        ax: given by the caller, or None.
        width, height: of a new figure, in inches.

    Raises:
        ConfigError: where matplotlib is not installed, or `ax` is no axes.
    """
    if ax is not None:
        if not hasattr(ax, "get_figure") or not hasattr(ax, "plot"):
            raise ConfigError(
                f"ax is {type(ax).__name__}, and no axes of matplotlib",
                where="plot",
                hint="give what plt.subplots() returns second, or leave it out",
            )
        return ax
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ConfigError(
            "matplotlib is not installed", where="plot", hint="pip install 'taskdiscovery[plot]'"
        ) from error
    _, new = plt.subplots(figsize=(width, height), layout="constrained")
    return new


def plain(ax: Axes, *, left: bool = True) -> None:
    """Take away the frame of axes, but for the lines that numbers are read from."""
    for side in ("top", "right", *(() if left else ("left",))):
        ax.spines[side].set_visible(False)


def short(text: str, limit: int = 28) -> str:
    """Return a name as it fits beside a figure."""
    # A dollar sign would begin mathematics, and names come from strangers.
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    return text.replace("$", r"\$")
