"""A splitter of scikit-learn that cuts along a task. It trains nothing: see `td.split` for figures.

Axes: N rows, D tasks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import BaseCrossValidator

from taskdiscovery.data import partition
from taskdiscovery.data.readers.samples import labels_of
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.scikit.tasks import count_of, labelings_of
from taskdiscovery.splits.cuts import Candidate, Sides, coordinate_of, groups_of, is_lopsided
from taskdiscovery.types import BoolArray, IdArray, IntArray, Labeling
from taskdiscovery.types.classes import column_of, value_name

if TYPE_CHECKING:
    from torch.utils.data import Subset

_ORIENTATIONS = {"same": ("same",), "opposite": ("opposite",), "both": ("same", "opposite")}
_CONTROLS = (None, "random")


class AdversarialSplit(BaseCrossValidator):  # type: ignore[misc]
    """A scikit-learn splitter: train where y goes with a task, test where it goes against it.

        cross_val_score(model, X, y, cv=td.AdversarialSplit(task=found.tasks[0]))
        train, test = td.AdversarialSplit(task=found.tasks[0]).train_test(torch_dataset)

    Of more than two classes half are put in one group, by how they lean on the task, and the group
    counts as the class. Rows whose class or task is missing are on neither side.

    Args:
        task: what to cut along: a `Labeling`, `Tasks` or a `Discovery` (a fold for each task); N
            values or (N, D) of them, in the order of the rows or, as Series or frame beside a frame
            X, by its index; or what labels the rows of X itself, also those of an inner
            cross-validation: an encoder (`found.encoder`), a fitted `DiscoverTasks`, a fitted
            clusterer of two clusters. Every task has two classes.
        orientation: `same` trains where class and task are equal, `opposite` where they differ,
            `both` gives a fold of either.
        class_balanced: cut the task's coordinate at its median within each class, so that every
            class gives half of its rows to each side. By default for more than two classes, and for
            lopsided tasks, if they have coordinates.
        control: None; or `random`, which draws folds of the same size and class counts by chance:
            what the adversarial ones are to be compared with.
        random_state: decides the draws of the control.
    """

    # `groups` are taken where they are given: cross_val_score(…, params={"groups": …}).
    __metadata_request__split = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        task: Any,
        *,
        orientation: str = "same",
        class_balanced: bool | None = None,
        control: str | None = None,
        random_state: int = 0,
    ) -> None:
        self.task = task
        self.orientation = orientation
        self.class_balanced = class_balanced
        self.control = control
        self.random_state = random_state

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds: one for each task and orientation.

        Args:
            X: needed where `task` is an estimator that does not say how many tasks it has.
            y, groups: not looked at.

        Raises:
            ConfigError: for an option that is not known.
            DataError: where X is needed and not given.
        """
        return count_of(self.task, X) * len(self._orientations())

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Yield the rows to train on and those to test on, for each task and orientation.

        Args:
            X: (N, …) whatever the model takes.
            y: (N,) the classes to break, of any kind; None and NaN are missing.
            groups: (N,) what belongs together, as a patient; missing for a row by itself. Each
                group goes where most of its rows lie.

        Yields:
            (train, test): int64 positions in rising order.

        Raises:
            ConfigError: for an option that cannot be used.
            DataError: for other counts than X has, and where a side is left without rows or the
                train side without a second class.
        """
        ways = self._orientations()
        if y is None:
            raise DataError(
                "there are no classes to break", where="AdversarialSplit.split", hint="give y"
            )
        N = _length(X)
        target = Labeling.from_values("y", y, np.arange(N).astype(str))
        groups_N = None if groups is None else _names(groups, N)
        for task in labelings_of(self.task, X, N):
            known = task.labels_N >= 0
            own = replace(target, labels_N=np.where(known, target.labels_N, -1))
            for way in ways:
                yield self._fold(own, task, way, groups_N)

    def train_test(self, dataset: Any, y: Any = None) -> tuple[Subset[Any], Subset[Any]]:
        """Return torch `Subset`s of a map-style data set: to train on, and to test on.

        Args:
            dataset: its samples in the order of the task's rows.
            y: (N,) classes; by default those that the data set has (`targets`, `labels`, a tensor),
                else those of its samples, each of which is then read once.

        Raises:
            ConfigError: where there is more than one fold.
            DataError: as `split`, and for a data set without classes.
        """
        from torch.utils.data import Subset

        folds = self.split(dataset, labels_of(dataset) if y is None else y)
        train, test = next(folds)
        if next(folds, None) is not None:
            raise ConfigError(
                f"the splitter has {self.get_n_splits(dataset)} folds",
                where="AdversarialSplit.train_test",
                hint="give one task, and the orientation same or opposite",
            )
        return Subset(dataset, train.tolist()), Subset(dataset, test.tolist())

    def _orientations(self) -> tuple[str, ...]:
        if self.orientation not in _ORIENTATIONS:
            raise ConfigError(
                f"there is no orientation {self.orientation!r}",
                where="AdversarialSplit",
                hint=nearest(str(self.orientation), _ORIENTATIONS),
            )
        if self.control not in _CONTROLS:
            raise ConfigError(
                f"there is no control {self.control!r}",
                where="AdversarialSplit",
                hint="give None or 'random'; td.split makes others",
            )
        return _ORIENTATIONS[self.orientation]

    def _fold(
        self, target: Labeling, task: Labeling, way: str, groups_N: IdArray | None
    ) -> tuple[IntArray, IntArray]:
        balanced = self.class_balanced
        if balanced is None:
            wanted = target.k > 2 or is_lopsided(task)
            balanced = wanted and coordinate_of(task) is not None
        group_C = groups_of(task, target)
        candidate = Candidate(task=task, orientation=way, group=group_C)
        sides = candidate.sides(target, balanced).whole(groups_N)
        if self.control == "random":
            rng = generator(self.random_state, "random split", task.name, way)
            sides = replace(sides, train=_drawn(sides, target, groups_N, rng))
        train, test = (np.flatnonzero(side & sides.known) for side in (sides.train, ~sides.train))
        if len(np.unique(target.labels_N[train])) < 2 or not len(test):
            raise DataError(
                f"{len(train)} rows are to be trained on, of "
                f"{len(np.unique(target.labels_N[train]))} classes, and {len(test)} to be tested",
                where=f"{task.name}, orientation {way}",
                hint="the task and y are nearly the same; give class_balanced=True and a task with "
                "coordinates, or another task",
            )
        return train.astype(np.int64), test.astype(np.int64)


def _drawn(
    sides: Sides, target: Labeling, groups_N: IdArray | None, rng: np.random.Generator
) -> BoolArray:
    """Draw a train side with as many rows of each class; of groups, with about as many rows."""
    train = np.zeros_like(sides.train)
    if groups_N is None:
        for c in range(target.k):
            own = np.flatnonzero(sides.known & (target.labels_N == c))
            count = int(sides.train[own].sum())
            train[rng.permutation(own)[:count]] = True
        return train
    codes_N = partition.codes(groups_N)
    sizes_G = np.bincount(codes_N, weights=sides.known)
    order_G = rng.permutation(len(sizes_G))
    before_G = np.cumsum(sizes_G[order_G]) - sizes_G[order_G] / 2
    wanted = int((sides.train & sides.known).sum())
    return np.asarray(np.isin(codes_N, order_G[before_G <= wanted]))


def _length(X: Any) -> int:
    shape = getattr(X, "shape", None)
    return int(shape[0]) if shape else len(X)


def _names(groups: Any, rows: int) -> IdArray:
    """Return (N,) names of groups; "" where one is missing.

    Raises:
        DataError: for another number of them than rows.
    """
    names = [value_name(value) or "" for value in column_of(groups).tolist()]
    if len(names) != rows:
        raise DataError(
            f"{len(names)} groups for {rows} rows",
            where="AdversarialSplit.split",
            hint="give one group per row",
        )
    return np.array(names, dtype=str)
