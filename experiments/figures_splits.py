"""Figures of the studies of splits, as SVG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from experiments.figures import COLOURS, _save
from experiments.records import Row


def table(results: list[Row], place: Path) -> None:
    """Draw the accuracy of every split of `resist` as a field of colours, a panel a learner."""
    figure, axes = plt.subplots(1, len(results), figsize=(4.4 * len(results), 2.9), squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        names = [own["task"].removeprefix("task_") for own in result["rows"][0]["splits"]]
        values = np.array(
            [
                [*(np.mean(own["accuracy"]) for own in row["splits"]), np.mean(row["random"])]
                for row in result["rows"]
            ]
        )
        axis.pcolormesh(values, vmin=0, vmax=1, cmap="RdYlBu", edgecolors="white", linewidth=1)
        for (y, x), value in np.ndenumerate(values):
            axis.text(x + 0.5, y + 0.5, f"{value:.2f}", ha="center", va="center", fontsize=7)
        axis.set_xticks(np.arange(len(names) + 1) + 0.5, [*names, "random"])
        targets = [row["target"].removeprefix("label:") for row in result["rows"]]
        axis.set_yticks(np.arange(len(targets)) + 0.5, targets)
        axis.invert_yaxis()
        axis.set_title(result["learner"], fontsize=9)
    _save(figure, place)


def remedies(results: list[Row], place: Path) -> None:
    """Draw what each learner reaches on the test side, every target a dot, a panel a learner."""
    figure, axes = plt.subplots(
        1, len(results), figsize=(4.6 * len(results), 3.4), sharey=True, squeeze=False
    )
    colours = {"pure": COLOURS["power"], "mixed": COLOURS["human"], "random": COLOURS["random"]}
    for axis, result in zip(axes[0], results, strict=True):
        names = list(result["rows"][0]["remedies"])
        for y, name in enumerate(names):
            colour = colours[name.split(": ")[0]]
            own = [np.mean(row["remedies"][name]["conflict"]) for row in result["rows"]]
            axis.scatter(own, np.full(len(own), y), s=12, color=colour, alpha=0.7, linewidths=0)
            axis.vlines(np.mean(own), y - 0.3, y + 0.3, color=colour, linewidth=1.8)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlim(0, 1)
        axis.set_xlabel("accuracy on the test side")
        axis.set_title(result["learner"], fontsize=9)
    axes[0][0].invert_yaxis()
    _save(figure, place)
