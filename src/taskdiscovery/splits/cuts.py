"""Ways to cut: a task, an orientation, and for more than two classes a grouping in two.

Train = images where (the group of) the target's class equals the task's, test = where it differs.

Axes: N images, C classes of the target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery.data import partition
from taskdiscovery.errors import ConfigError
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, FloatArray, IdArray, IntArray, Labeling

#: how far from a half the rate of a task may be, for the data to be cut at its sign.
_EVEN = 0.1


@dataclass(frozen=True, eq=False, kw_only=True)
class Sides:
    """One way to split.

    Attributes:
        train: (N,) True on the train side.
        task_N: (N,) the class of the cutting task.
        known: (N,) False where the target has no class; such images take no part.
    """

    train: BoolArray
    task_N: IntArray
    known: BoolArray

    def whole(self, groups: IdArray | None) -> Sides:
        """Return sides that divide no group: each goes where most of its images lie.

        A group that lies half and half is trained on. An image of its own stays where it is.

        Args:
            groups: (N,) what belongs together, "" for an image by itself; or None.
        """
        if groups is None:
            return self
        codes_N = partition.codes(groups)
        images_G = np.bincount(codes_N, weights=self.known)
        train_G = np.bincount(codes_N, weights=self.train & self.known)
        return replace(self, train=(2 * train_G >= images_G)[codes_N])


def groups_of(task: Labeling, target: Labeling) -> IntArray:
    """Put the C classes of the target in two groups; more than two by how they lean on the task."""
    if target.k == 2:
        return np.array([0, 1])
    coordinate_N = coordinate_of(task)
    lean_N = task.labels_N if coordinate_N is None else coordinate_N
    lean_C = np.array(
        [
            lean_N[target.labels_N == c].mean() if (target.labels_N == c).any() else 0.0
            for c in range(target.k)
        ]
    )
    upper = np.argsort(lean_C, kind="stable")[target.k // 2 :]
    return np.isin(np.arange(target.k), upper).astype(np.int64)


def coordinate_of(task: Labeling) -> FloatArray | None:
    """Return the (N,) coordinate whose sign a binary task is, or None."""
    if task.coordinates_NC is None:
        return None
    return task.coordinates_NC[:, 0].astype(np.float64)


def is_lopsided(task: Labeling) -> bool:
    """Say whether a binary task cuts so unevenly that the sides would have other class rates."""
    return abs(float(task.labels_N.mean()) - 0.5) > _EVEN


@dataclass(frozen=True, eq=False, kw_only=True)
class Candidate:
    """A task to cut along, with an orientation and a grouping of the target's classes.

    Attributes:
        task: a binary labeling.
        orientation: `same` trains where group and task are equal, `opposite` where they differ.
        group: (C,) 0 or 1 for each class.
        name: says which, for tables.
    """

    task: Labeling
    orientation: str
    group: IntArray

    @property
    def name(self) -> str:
        """Task, orientation, and the classes of group 1 where there are more than two."""
        more = ""
        if len(self.group) > 2:
            more = f" {{{','.join(str(c) for c in np.flatnonzero(self.group))}}}"
        return f"{self.task.name} {self.orientation}{more}"

    def sides(self, target: Labeling, class_balanced: bool) -> Sides:
        """Say for each image on which side of the split it falls.

        Args:
            target: the human labeling.
            class_balanced: cut the coordinate at its median within each class, so that every
                class gives half of its images to each side.

        Raises:
            ConfigError: where that is asked for and the task has no coordinate.
        """
        task_N = self.task.labels_N
        if class_balanced:
            coordinate_N = coordinate_of(self.task)
            if coordinate_N is None:
                raise ConfigError(
                    f"{self.task.name} has no coordinate to cut within classes",
                    where="--class-balanced",
                    hint="take the task from a run or from untrained:NETWORK, or cut without it "
                    "(--no-class-balanced)",
                )
            task_N = np.zeros_like(task_N)
            for c in range(target.k):
                own = np.flatnonzero(target.labels_N == c)
                if len(own):
                    x = coordinate_N[own]
                    task_N[own] = x > np.median(x)
        train = self.group[np.maximum(target.labels_N, 0)] == task_N
        if self.orientation == "opposite":
            train = ~train
        return Sides(train=train, task_N=task_N, known=target.known_N)


def orientations(chosen: str) -> tuple[str, ...]:
    """Return the orientations that `--orientation` allows, the one to be tried first in front."""
    return ("same", "opposite") if chosen == "auto" else (chosen,)


def other_groupings(classes: int, count: int, seed: int) -> Iterator[IntArray]:
    """Draw groupings of the classes in two halves, each once; none for two classes."""
    seen: set[tuple[int, ...]] = set()
    rng = generator(seed, "groupings")
    for _ in range(20 * count if classes > 2 else 0):
        group = np.isin(np.arange(classes), rng.permutation(classes)[: classes // 2])
        key = tuple(group.astype(int).tolist())
        if key not in seen and tuple(1 - g for g in key) not in seen:
            seen.add(key)
            yield group.astype(np.int64)
        if len(seen) == count:
            return
