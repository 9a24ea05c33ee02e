"""What stands beside each accuracy: each run, each class, each group, a constant answer.

Axes: N measured images, K runs, C classes of the target.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskdiscovery.agreement import mean_over_runs
from taskdiscovery.data import partition
from taskdiscovery.types import (
    BoolArray,
    Detail,
    FloatArray,
    IdArray,
    IntArray,
    Interval,
    Labeling,
    Part,
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Beside:
    """What the images of a split are known by.

    Attributes:
        target: the human labeling.
        task: the labeling that the data was cut along, as it was cut.
        group: (C,) 0 or 1 for each class: which of them count as class 1 of the task.
        groups: (N,) of the data set, what belongs together; or None.
    """

    target: Labeling
    task: Labeling
    group: IntArray
    groups: IdArray | None

    def mean(self, right_KN: BoolArray | FloatArray, rows: IntArray) -> Interval:
        """Return the mean over runs and images, in whose interval a group is one draw."""
        own = None if self.groups is None else partition.codes(self.groups[rows])
        return mean_over_runs(right_KN, own)

    def detail(self, predicted_KN: IntArray, rows: IntArray, fit: IntArray) -> Detail:
        """Return what stands beside the accuracy on these images.

        Args:
            predicted_KN: (K, N) classes that each run gave.
            rows: (N,) the images.
            fit: images that were trained on.
        """
        truth_N, side_N = self.target.labels_N[rows], self.task.labels_N[rows]
        right_KN = predicted_KN == truth_N
        commonest = int(np.bincount(self.target.labels_N[fit]).argmax())
        classes = [int(c) for c in np.unique(truth_N)]
        # Weights that make the mean over images the mean over classes.
        share_N = np.bincount(truth_N, minlength=self.target.k)[truth_N] * len(classes) / len(rows)
        crossed_KN = self.group[predicted_KN] != self.group[truth_N]
        return Detail(
            images=len(rows),
            runs=tuple(float(value) for value in right_KN.mean(axis=1)),
            majority=float((truth_N == commonest).mean()),
            balanced=self.mean(right_KN / share_N, rows),
            crossed=self.mean(crossed_KN, rows),
            classes=tuple(self._part(self._name(c), right_KN, rows, truth_N == c) for c in classes),
            groups=tuple(
                self._part(f"{self._name(c)}, {self.task.name} = {side}", right_KN, rows, own_N)
                for c in classes
                for side in (0, 1)
                if (own_N := (truth_N == c) & (side_N == side)).any()
            ),
        )

    def _part(self, name: str, right_KN: BoolArray, rows: IntArray, own_N: BoolArray) -> Part:
        accuracy = self.mean(right_KN[:, own_N], rows[own_N])
        return Part(name=name, images=int(own_N.sum()), accuracy=accuracy)

    def _name(self, c: int) -> str:
        names = self.target.classes
        return names[c] if c < len(names) else f"class {c}"
