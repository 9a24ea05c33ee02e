"""Figures of the task space: how many tasks there are, what they contain, where they lie."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.lines import Line2D

from experiments.figures import COLOURS
from experiments.figures import _save as save
from experiments.points import Point
from experiments.records import Row

_HUMAN, _GREY, _OURS = (COLOURS[kind] for kind in ("human", "random", "power"))
_MARKS = {
    "discovered": (_OURS, "o"),
    "human": (_HUMAN, "o"),
    "published": ("#2f8f5b", "^"),
    "flipped labels": ("#8fb0dd", "o"),
    "random": (_GREY, "o"),
    "components, statistics": ("#b59a00", "s"),
    "unequal or several classes": ("#7ac0c0", "D"),
    "adversarial split": ("#9b2d6b", "v"),
    "other images": ("#444444", "x"),
    "other": ("#c9c9c9", "."),
}


def counts(results: list[Row], place: Path) -> None:
    """Draw AS against the number of tasks, and against similarity; a row of panels a learner."""
    figure, axes = plt.subplots(
        len(results), 2, figsize=(6.8, 2.7 * len(results)), sharey="row", squeeze=False
    )
    for (left, right), result in zip(axes, results, strict=True):
        _by_number(left, result)
        _by_similarity(right, result)
        left.set_ylabel(f"agreement score, {result['learner']}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    axes[0][1].legend(
        handles, labels, frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5)
    )
    axes[-1][0].set_xlabel("tasks asked for")
    axes[-1][1].set_xlabel("mean similarity of the tasks")
    save(figure, place)


def _of_kind(result: Row, kind: str) -> list[float]:
    return [row["agreement"] for row in result["rows"] if row["kind"] == kind]


def _by_number(axis: Any, result: Row) -> None:
    kinds = dict.fromkeys(row["kind"] for row in result["rows"])
    for word, colour in (("power", _OURS), ("ica", "#b59a00"), ("random", _GREY)):
        numbers = sorted(int(k.split("-")[1]) for k in kinds if k.startswith(f"{word}-"))
        values = [_of_kind(result, f"{word}-{d}") for d in numbers]
        means = [np.mean(own) for own in values]
        label = {"ica": "ICA of pixels", "random": "random directions"}.get(word, word)
        axis.plot(numbers, means, color=colour, marker="o", ms=3, lw=1.2, label=label)
        if word == "power":
            low, high = [min(own) for own in values], [max(own) for own in values]
            axis.fill_between(numbers, low, high, color=colour, alpha=0.15, lw=0)
    points: dict[int, list[float]] = {}
    for row in result["rows"]:
        if row["kind"] == "pixels":
            points.setdefault(int(row["task"].split()[1]) + 1, []).append(row["agreement"])
    known = sorted(points)
    means = [np.mean(points[d]) for d in known]
    axis.plot(known, means, color="#2f8f5b", marker="s", ms=3, lw=0.8, ls=":", label="component n")
    axis.axhline(np.mean(_of_kind(result, "human")), color=_HUMAN, lw=1, ls="--", label="human")
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_formatter("{x:.0f}")


def _by_similarity(axis: Any, result: Row) -> None:
    for row in result["alike"]:
        word = row["way"].split("-")[0]
        mean, colour = (
            np.mean(_of_kind(result, row["way"])),
            _GREY if word == "random" else "#b59a00",
        )
        axis.scatter(row["mean"], mean, color=colour, s=14, linewidths=0)
        axis.annotate(
            row["way"].split("-")[1],
            (row["mean"], mean),
            fontsize=6,
            xytext=(3, 2),
            textcoords="offset points",
        )
    for d in result["counts"]:
        alike = np.mean([r["similarity"]["mean"] for r in result["found"] if r["d"] == d])
        mean = np.mean(_of_kind(result, f"power-{d}"))
        axis.scatter(alike, mean, color=_OURS, s=14, linewidths=0)
        axis.annotate(str(d), (alike, mean), fontsize=6, xytext=(3, 2), textcoords="offset points")


def coverage(results: list[Row], place: Path) -> None:
    """Draw histograms of probes over the human tasks, a row a method, a column a learner."""
    names = list(dict.fromkeys(row["method"] for r in results for row in r["embeddings"]))
    figure, axes = plt.subplots(
        len(names),
        len(results),
        figsize=(3.2 * len(results), 0.85 * len(names)),
        sharex=True,
        squeeze=False,
    )
    bins = np.arange(0.5, 0.96, 0.01)
    for column, result in enumerate(results):
        axes[0][column].set_title(result["learner"], fontsize=9)
        for axis, name in zip(axes[:, column], names, strict=True):
            own = [row["probed"] for row in result["embeddings"] if row["method"] == name]
            tasks = np.mean(own, axis=0)
            given = np.isin(np.arange(len(tasks)), result["contained"])
            colours = ["#c9d7ee", _OURS]
            axis.hist([tasks[~given], tasks[given]], bins=bins, stacked=True, color=colours)
            axis.axvline(tasks.mean(), color="#222222", lw=1)
            axis.set_yticks([])
            if not column:
                axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    for axis in axes[-1]:
        axis.set_xlabel("held-out accuracy of a probe")
    save(figure, place)


def plane(points: list[Point], place: Path) -> None:
    """Draw accuracy against agreement with the bound, a panel a learner that has most points."""
    learners = [name for name, _ in Counter(p.learner for p in points).most_common(6)]
    across = min(3, len(learners))
    down = -(-len(learners) // across)
    size = (2.6 * across, 2.5 * down)
    figure, axes = plt.subplots(down, across, figsize=size, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(learners) :]:
        axis.set_visible(False)
    for axis, learner in zip(axes.flat, learners, strict=False):
        own = [p for p in points if p.learner == learner]
        for family, (colour, marker) in _MARKS.items():
            x = [p.agreement for p in own if p.family == family]
            y = [p.accuracy for p in own if p.family == family]
            axis.scatter(
                x, y, s=9, color=colour, marker=marker, lw=0.6 if marker == "x" else 0, alpha=0.75
            )
        axis.plot([0, 1], [0.5, 1], color="#222222", lw=1)
        axis.plot([0, 1], [0, 1], color="#bbbbbb", lw=0.8, ls="--")
        axis.set_title(f"{learner}: {len(own)}", fontsize=7)
        axis.set_xlim(0.45, 1.01)
        axis.set_ylim(0, 1.01)
    present = {p.family for p in points}
    handles = [
        Line2D([], [], color=colour, marker=marker, ls="", ms=4, label=family)
        for family, (colour, marker) in _MARKS.items()
        if family in present
    ]
    figure.legend(
        handles=handles, frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(0.91, 0.5)
    )
    figure.supxlabel("agreement score", fontsize=9)
    figure.supylabel("accuracy", fontsize=9)
    save(figure, place)
