"""Figures of the page, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

Row = dict[str, Any]
COLOURS = {"human": "#3b6fb6", "random": "#8a8a8a", "power": "#c2571a"}
mpl.rcParams.update(
    {
        "svg.hashsalt": "taskdiscovery",  # the same numbers give the same file
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": "white",
    }
)


def _save(figure: Any, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def kinds(results: list[Row], place: Path) -> None:
    """Draw every labeling's agreement, by kind, a panel a learner."""
    figure, axes = plt.subplots(
        1, len(results), figsize=(2.6 * len(results), 2.6), sharey=True, squeeze=False
    )
    rng = np.random.default_rng(0)
    for axis, result in zip(axes[0], results, strict=True):
        for i, (kind, colour) in enumerate(COLOURS.items()):
            values = [row["agreement"] for row in result["rows"] if row["kind"] == kind]
            jitter = i + rng.uniform(-0.18, 0.18, len(values))
            axis.scatter(jitter, values, s=12, color=colour, alpha=0.75, linewidths=0)
            axis.hlines(np.mean(values), i - 0.3, i + 0.3, color=colour, linewidth=1.6)
        axis.set_xticks(range(3), list(COLOURS))
        axis.set_title(result["learner"], fontsize=9)
    axes[0][0].set_ylabel("agreement score")
    _save(figure, place)


def sizes(results: list[Row], place: Path) -> None:
    """Draw agreement against the number of training images."""
    figure, axis = plt.subplots(figsize=(4.4, 2.8))
    for result in results:
        for kind, colour in COLOURS.items():
            own = [row for row in result["rows"] if row["kind"] == kind]
            for name in dict.fromkeys(row["task"] for row in own):
                points = sorted(
                    (row["train_images"], row["agreement"]) for row in own if row["task"] == name
                )
                axis.plot(*zip(*points, strict=True), color=colour, marker="o", ms=3, lw=1)
    axis.set_xscale("log")
    axis.set_xlabel("training images")
    axis.set_ylabel("agreement score")
    handles = [Line2D([], [], color=c, label=k) for k, c in COLOURS.items()]
    axis.legend(handles=handles, frameon=False)
    _save(figure, place)


def accuracy(results: list[Row], place: Path) -> None:
    """Draw test accuracy against agreement."""
    figure, axis = plt.subplots(figsize=(3.4, 3.2))
    for result in results:
        points = np.array([[row["agreement"], row["accuracy"]] for row in result["rows"]])
        axis.scatter(points[:, 0], points[:, 1], s=14, color=COLOURS["human"], linewidths=0)
    axis.plot([0.5, 1], [0.5, 1], color="#bbbbbb", lw=1)
    axis.set_xlabel("agreement score")
    axis.set_ylabel("test accuracy")
    _save(figure, place)
