"""How a search went: numbers over its iterations or steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskdiscovery.errors import ConfigError
from taskdiscovery.plots.axes import COLOURS, axes_of, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: what a search tells of each of its iterations (power) or outer steps (meta), and what it is.
_ITERATION = {"correlation": "mean over tasks", "least": "least of the tasks"}
_STEP = {"agreement": "agreement of the inner networks"}


def draw_course(rows: Sequence[Mapping[str, Any]], ax: Axes | None = None) -> Axes:
    """Draw how far held-out predictions are right, or inner networks agree, from step to step.

    Args:
        rows: of each iteration `iteration`, `correlation`, `least`, `turned_degrees`; or of each
            outer step `step`, `agreement`; others are left out.
        ax: to draw on, or None.

    Raises:
        ConfigError: where no row tells of an iteration or a step.
    """
    steps = [row for row in rows if "iteration" in row and "correlation" in row]
    at, lines, label = "iteration", _ITERATION, "held-out correlation"
    if not steps:
        steps = [row for row in rows if "step" in row and row.get("agreement") is not None]
        at, lines, label = "step", _STEP, "agreement"
    if not steps:
        raise ConfigError(
            "this search tells of no iterations",
            where="plot",
            hint="power iteration has a course; that of meta-gradients is in its run: "
            "td.open_run(RUN).plot()",
        )
    ax = axes_of(ax, 6.4, 3.2)
    x = [row[at] for row in steps]
    marker = "o" if len(x) <= 30 else ""
    for (name, words), colour in zip(lines.items(), (COLOURS[""], "#e0a37f"), strict=False):
        if all(name in row for row in steps):
            ax.plot(x, [row[name] for row in steps], marker=marker, color=colour, label=words)
    ax.set_xlabel("outer step" if at == "step" else at)
    ax.set_ylabel(label)
    ax.grid(alpha=0.25)
    plain(ax)
    handles, names = ax.get_legend_handles_labels()
    if all("turned_degrees" in row for row in steps) and at == "iteration":
        turned = ax.twinx()
        degrees = [row["turned_degrees"] for row in steps]
        turned.plot(x, degrees, ":", marker=marker, color="#6b6b6b", label="turned (right)")
        turned.set_ylabel("degrees that the subspace turned")
        turned.set_ylim(bottom=0)
        turned.spines["top"].set_visible(False)
        more, more_names = turned.get_legend_handles_labels()
        handles, names = handles + more, names + more_names
    if len(x) <= 12:
        ax.set_xticks(x)
    ax.legend(
        handles,
        names,
        frameon=False,
        fontsize="small",
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
    )
    return ax
