"""Figures of studies that change one thing at a time, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from experiments.figures import COLOURS, _save
from experiments.records import Row


def conditions(results: list[Row], names: Mapping[str, str], place: Path) -> None:
    """Draw by how much every labeling's AS differs from that under the first condition.

    Args:
        results: one a learner, with rows of `condition`, `task`, `kind` and `agreement`.
        names: of the conditions, by key; the first is what others are compared with.
        place: of the figure.
    """
    first, *others = names
    size = (2.6 * len(results) + 2.6, 0.3 * len(others) + 1.0)
    figure, axes = plt.subplots(1, len(results), figsize=size, sharey=True, squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        base = {r["task"]: r["agreement"] for r in result["rows"] if r["condition"] == first}
        for i, name in enumerate(others):
            for k, (kind, colour) in enumerate(COLOURS.items()):
                own = [r for r in result["rows"] if (r["condition"], r["kind"]) == (name, kind)]
                moved = [r["agreement"] - base[r["task"]] for r in own]
                at = i + 0.22 * (k - 1)
                label = kind if i == 0 else None
                axis.scatter(moved, [at] * len(moved), s=8, color=colour, alpha=0.6, lw=0)
                axis.vlines(
                    np.mean(moved), at - 0.1, at + 0.1, color=colour, linewidth=1.8, label=label
                )
        axis.axvline(0, color="#bbbbbb", lw=0.8)
        axis.set_title(result["learner"], fontsize=9)
        axis.set_xlabel("change of AS")
    axes[0][0].set_yticks(range(len(others)), [names[name] for name in others])
    axes[0][0].invert_yaxis()
    axes[0][-1].legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    _save(figure, place)


def variants(results: list[Row], names: Mapping[str, str], folder: Path) -> None:
    """Draw the mean AS of every seed by variant, a panel a learner, into `variants.svg`.

    Args:
        results: one a learner, with rows of `variant` and `agreement`.
        names: of the variants, by key; a line marks the first.
        folder: of the figure.
    """
    size = (3.2 * len(results) + 2.4, 0.24 * len(names) + 0.8)
    figure, axes = plt.subplots(1, len(results), figsize=size, sharey=True, squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        for i, name in enumerate(names):
            own = [r["agreement"] for r in result["rows"] if r["variant"] == name]
            axis.scatter(own, [i] * len(own), s=12, color=COLOURS["power"], alpha=0.7, lw=0)
            axis.vlines(np.mean(own), i - 0.3, i + 0.3, color=COLOURS["power"], linewidth=1.8)
            if i == 0:
                axis.axvline(np.mean(own), color="#bbbbbb", lw=0.8)
        axis.set_title(result["learner"], fontsize=9)
        axis.set_xlabel("agreement score")
    axes[0][0].set_yticks(range(len(names)), [text.replace("`", "") for text in names.values()])
    axes[0][0].invert_yaxis()
    _save(figure, folder / "variants.svg")


def sizes(results: list[Row], place: Path) -> None:
    """Draw agreement against training images: a row a learner, a panel for what is held equal."""
    figure, axes = plt.subplots(
        len(results), 2, figsize=(6.4, 2.6 * len(results) + 0.2), sharey=True, squeeze=False
    )
    for row, result in zip(axes, results, strict=True):
        for axis, equal in zip(row, ("updates", "epochs"), strict=True):
            for kind, colour in COLOURS.items():
                own = [r for r in result["rows"] if (r["equal"], r["kind"]) == (equal, kind)]
                for name in dict.fromkeys(r["task"] for r in own):
                    points = sorted(
                        (r["train_images"], r["agreement"]) for r in own if r["task"] == name
                    )
                    axis.plot(*zip(*points, strict=True), color=colour, marker="o", ms=3, lw=1)
            axis.set_xscale("log")
            axis.set_title(f"{result['learner']}, equal {equal}", fontsize=9)
        row[0].set_ylabel("agreement score")
    for axis in axes[-1]:
        axis.set_xlabel("training images")
    handles = [Line2D([], [], color=c, label=k) for k, c in COLOURS.items()]
    axes[0][1].legend(handles=handles, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.tight_layout()
    _save(figure, place)
