"""Figures of studies that change one thing at a time, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

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
