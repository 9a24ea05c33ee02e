"""Pictures of the concepts, drawn by code: power iteration in the plane, and what a split does.

Axes: N points or images, D labelings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from website import gallery

_POINTS, _TASKS, _ROUNDS, _SHOWN = 600, 3, 12, (0, 1, 2, 4, 12)
#: share of the radius of the plane over which the smoother looks.
_WIDTH = 0.16
_TEAL, _INK = "#00796b", "#263238"


def make(folder: Path) -> None:
    """Draw all pictures.

    Args:
        folder: that they are written to, as SVG.
    """
    _style()
    power(folder / "power.png")
    overview(folder / "overview.svg")


def _style() -> None:
    import matplotlib as mpl

    mpl.use("svg")
    # No fonts of this machine, and the same bytes again.
    mpl.rcParams.update({"svg.hashsalt": "taskdiscovery", "font.size": 9, "text.color": _INK})


def _save(figure: Any, path: Path) -> None:
    if path.suffix == ".png":  # few colours: a quarter of the bytes
        from PIL import Image

        figure.savefig(path, dpi=150, bbox_inches="tight")
        Image.open(path).convert("RGB").quantize(96).save(path, optimize=True)
    else:
        figure.savefig(path, dpi=150, metadata={"Date": None}, bbox_inches="tight")


# --- power iteration ---


def iterate(seed: int = 1) -> tuple[NDArray[np.float64], list[NDArray[np.float64]], list[float]]:
    """Iterate labelings of points in the plane with a kernel smoother in place of a network.

    Args:
        seed: of points, first labelings and halves.

    Returns:
        The points (N, 2); the labelings (N, D) after every round, the first being noise; and the
        mean correlation of labels with held-out predictions in every round.
    """
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, 2 * np.pi, _POINTS)
    radius = np.sqrt(rng.uniform(0, 1, _POINTS))
    points = np.stack([1.5 * radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    apart = ((points[:, None] - points[None]) ** 2).sum(-1)
    near = np.exp(-apart / (2 * _WIDTH**2))
    labels = _white(rng.normal(size=(_POINTS, _TASKS)))
    course, correlations = [labels], []
    for _ in range(_ROUNDS):
        half = rng.permutation(_POINTS) < _POINTS // 2
        held_out = np.empty_like(labels)
        for asked, known in ((half, ~half), (~half, half)):
            weights = near[np.ix_(asked, known)]
            held_out[asked] = weights @ labels[known] / weights.sum(1, keepdims=True)
            held_out[asked] -= held_out[asked].mean(0)
        pairs = zip(labels.T, held_out.T, strict=True)
        correlations.append(float(np.mean([np.corrcoef(y, p)[0, 1] for y, p in pairs])))
        labels = _white(held_out)
        course.append(labels)
    return points, course, correlations


def _white(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    from taskdiscovery.discovery import subspace

    return np.asarray(subspace.whiten(columns).coordinates, dtype=np.float64)


def power(path: Path) -> None:
    """Draw how labelings of points become smooth, round by round."""
    import matplotlib.pyplot as plt

    points, course, correlations = iterate()
    figure = plt.figure(figsize=(8.2, 5.0))
    grid = figure.add_gridspec(_TASKS + 1, len(_SHOWN), height_ratios=[1, 1, 1, 0.9], hspace=0.05)
    for column, rounds in enumerate(_SHOWN):
        for task in range(_TASKS):
            axes = figure.add_subplot(grid[task, column])
            values = course[rounds][:, task]
            axes.scatter(
                points[:, 0], points[:, 1], c=values, s=5, cmap="BrBG", vmin=-1.6, vmax=1.6, lw=0
            )
            axes.set(xticks=[], yticks=[], aspect="equal")
            axes.spines[:].set_visible(False)
            if task == 0:
                axes.set_title("noise" if not rounds else _count(rounds), fontsize=9)
            if column == 0:
                axes.set_ylabel(f"labeling {task + 1}")
    axes = figure.add_subplot(grid[_TASKS, :])
    axes.plot(range(1, _ROUNDS + 1), correlations, color=_TEAL, marker="o", ms=3, lw=1.5)
    axes.set(xlabel="round", ylabel="correlation with\nheld-out predictions", ylim=(-0.1, 1.05))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", lw=0.3)
    _save(figure, path)
    plt.close(figure)


def _count(rounds: int) -> str:
    return f"{rounds} round" + "s" * (rounds > 1)


# --- what it is for ---


def overview(path: Path) -> None:
    """Draw tasks of drawn shapes by their images, and a split along one of them in figures.

    Raises:
        RunDirError: where the tutorial on splits was not executed yet, whose run this is.
    """
    import matplotlib.pyplot as plt

    import taskdiscovery as td

    run = td.open_run(gallery.example_run())
    data, broken = td.load(str(run.config["data"])), run.split
    assert broken is not None
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 3.2), width_ratios=[1.35, 1])
    run.tasks.plot(left, images=data.images, columns=8)
    left.set_title("tasks that a network finds easy", loc="left")
    broken.plot(right)
    right.set_title(f"accuracy on a split along {broken.task.name}", loc="left")
    figure.tight_layout()
    _save(figure, path)
    plt.close(figure)
