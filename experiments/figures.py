"""Figures of the page, as SVG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
from matplotlib import pyplot as plt
from PIL import Image

from experiments.records import Row
from taskdiscovery.plots.axes import COLOURS as _OF
from taskdiscovery.types import Tasks

COLOURS = {"human": _OF["human"], "random": _OF["random"], "power": _OF[""]}
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


def extremes(tasks: Tasks, at: int, place: Path, across: int = 24, down: int = 2) -> None:
    """Draw the images of the test partition that lie farthest on either side of a binary task.

    Args:
        tasks: with coordinates and images.
        at: which task.
        place: file to write; the format is that of its name.
        across: images in a row.
        down: rows for each side.
    """
    assert tasks.coordinates_NP is not None
    assert tasks.images is not None
    assert tasks.seen_N is not None
    test = np.flatnonzero(~tasks.seen_N)
    order = test[np.argsort(tasks.coordinates_NP[test, at])]
    count, gap = across * down, 4
    tile = tasks.images.shape[1]
    sheet = np.full((2 * down * tile + gap, across * tile, 3), 255, np.uint8)
    for side, rows in enumerate((order[::-1][:count], order[:count])):
        for i, row in enumerate(rows):
            y = (side * down + i // across) * tile + side * gap
            x = i % across * tile
            sheet[y : y + tile, x : x + tile] = tasks.images[int(row)]
    place.parent.mkdir(parents=True, exist_ok=True)
    enlarged = (sheet.shape[1] * 2, sheet.shape[0] * 2)
    Image.fromarray(sheet).resize(enlarged, Image.Resampling.NEAREST).save(place, quality=80)


def ways(results: list[Row], place: Path) -> None:
    """Draw the balanced accuracy of every task against its attribute, by way, a panel a set."""
    names = list(dict.fromkeys(row["way"] for result in results for row in result["ways"]))
    size = (2.4 * len(results) + 2.4, 0.26 * len(names) + 0.8)
    figure, axes = plt.subplots(1, len(results), figsize=size, sharey=True, squeeze=False)
    rng = np.random.default_rng(0)
    for axis, result in zip(axes[0], results, strict=True):
        for i, name in enumerate(names):
            rows = [row for row in result["rows"] if row["way"] == name and "ba" in row]
            values = [value for row in rows for value in row["ba_of_tasks"]]
            if values:
                colour = COLOURS["power" if name.startswith("pursuit") else "human"]
                jitter = i + rng.uniform(-0.2, 0.2, len(values))
                axis.scatter(values, jitter, s=6, color=colour, alpha=0.5, linewidths=0)
                axis.vlines(np.mean(values), i - 0.35, i + 0.35, color=colour, linewidth=1.8)
        axis.axvline(0.5, color="#bbbbbb", lw=0.8)
        axis.set_title(result["learner"], fontsize=9)
        axis.set_xlabel("balanced accuracy")
    axes[0][0].set_yticks(range(len(names)), names)
    axes[0][0].invert_yaxis()
    _save(figure, place)
