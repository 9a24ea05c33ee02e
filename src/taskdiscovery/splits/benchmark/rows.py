"""The rows of a benchmark: training sets in which a task goes with the target, more and more.

Strength is the share of training images on which target and task agree, the same in every class.
Every class has as many images as any other, in every part, and every strength trains on as many.
The validation part of a strength has its share, too. Two test sets are the same for all strengths:
`test_agreeing`, where target and task agree, and `test_conflicting`, where they do not. A training
set of strength 1 has the distribution of the first; one of strength s is s parts of the first and
1 - s of the second, so that accuracy in its distribution is `s * agreeing + (1 - s) * conflicting`.

Axes: N images, C classes of the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.config.stress import STRENGTHS
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.splits.benchmark import pools as dealing
from taskdiscovery.splits.benchmark.near import across
from taskdiscovery.splits.benchmark.pools import TEST, Cell, Deal, Pools
from taskdiscovery.splits.cuts import groups_of
from taskdiscovery.types import BoolArray, Dataset, IntArray, Labeling

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALIDATION = "train", "validation"
AGREEING, CONFLICTING = "test_agreeing", "test_conflicting"
#: the folder of image files that `metadata.csv` names.
IMAGES = "images"
#: the parts, as `metadata.csv` numbers them.
SPLITS = (TRAIN, VALIDATION, CONFLICTING, AGREEING)
#: images of a class from which on their number is a multiple of 20, for shares to come out even.
_EVEN, _STEP = 100, 20
#: images of a class to train on, at least: of fewer, strengths are one and the same.
_FEWEST = 10


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the parts are.

    Attributes:
        train: images to train on, at most; None for as many as there are.
        validation: images to validate on, as a share of those to train on.
        test: images of either test set, as a share of those to train on.

    Raises:
        ConfigError: for shares that are not positive, or more than 1.
    """

    train: int | None = None
    validation: float = 0.1
    test: float = 0.2

    def __post_init__(self) -> None:
        for name in ("validation", "test"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}",
                    where="sizes of the benchmark",
                    hint="give a share of the training images, above 0 and at most 1",
                )
        if self.train is not None and self.train < 1:
            raise ConfigError(
                f"train is {self.train!r}", where="sizes of the benchmark", hint="give a number"
            )

    def wanted(self, most: float) -> dict[str, float]:
        """Return how much each part is to have of the images of one kind.

        Args:
            most: the share of the training images that they make up at most.
        """
        return {"train": most, "validation": most * self.validation, "test": self.test}


@dataclass(frozen=True, eq=False, kw_only=True)
class Benchmark:
    """Which image is where, at every strength.

    Attributes:
        dataset: the images.
        target: what is to be learnt.
        task: what goes with it; binary.
        side_C: (C,) the class of the task that agrees with each class of the target.
        strengths: in rising order.
        train: for each strength, its rows.
        validation: for each strength, its rows.
        tests: `test_agreeing` and `test_conflicting`, the same for all.
        copies: images that were left out as exact copies of another.
        together: images that are in one part with their near copies.
        near: test images with a near copy that is trained or validated on, at some strength.
        seed: that decided.
    """

    dataset: Dataset
    target: Labeling
    task: Labeling
    side_C: IntArray
    strengths: tuple[float, ...]
    train: Mapping[float, IntArray] = field(repr=False)
    validation: Mapping[float, IntArray] = field(repr=False)
    tests: Mapping[str, IntArray] = field(repr=False)
    copies: int
    seed: int
    together: int = 0
    near: int = 0

    @property
    def agree_N(self) -> BoolArray:
        """(N,) True where target and task are known and agree."""
        both_N = self.target.known_N & self.task.known_N
        return both_N & (self.side_C[self.target.labels_N] == self.task.labels_N)

    @property
    def group_N(self) -> IntArray:
        """(N,) class of the target times two, plus that of the task; -1 where either is missing."""
        both_N = self.target.known_N & self.task.known_N
        group_N = self.target.labels_N * self.task.k + self.task.labels_N
        return np.where(both_N, group_N, -1).astype(np.int64)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups, in the order of their numbers."""
        return tuple(f"{a} | {b}" for a in self.target.classes for b in self.task.classes)

    def rows(self, strength: float) -> dict[str, IntArray]:
        """Return the rows of every split at a strength.

        Raises:
            KeyError: for a strength that there is not.
        """
        own = {TRAIN: self.train[strength], VALIDATION: self.validation[strength]}
        return {**own, CONFLICTING: self.tests[CONFLICTING], AGREEING: self.tests[AGREEING]}

    def file_of(self, row: int) -> str:
        """Return what the file of an image is called: its ids may be no names of files."""
        return f"{row:0{len(str(len(self.dataset)))}d}.png"

    def metadata(self, strength: float) -> pd.DataFrame:
        """Return one row per image, with the columns of Waterbirds' metadata, which code for WILDS
        and group DRO reads: `img_id`, `img_filename`, `y`, `split` (its number in `SPLITS`),
        `place` (the class of the task); and `group`, `image_id`.
        """
        import pandas as pd

        rows = self.rows(strength)
        all_n = np.concatenate([rows[name] for name in SPLITS])
        return pd.DataFrame(
            {
                "img_id": np.arange(len(all_n)),
                "img_filename": [f"{IMAGES}/{self.file_of(row)}" for row in all_n.tolist()],
                "y": self.target.labels_N[all_n],
                "split": np.repeat(np.arange(len(SPLITS)), [len(rows[name]) for name in SPLITS]),
                "place": self.task.labels_N[all_n],
                "group": self.group_N[all_n],
                "image_id": self.dataset.ids[all_n],
            }
        )


def compose(
    dataset: Dataset,
    target: Labeling,
    task: Labeling,
    *,
    strengths: Sequence[float] = STRENGTHS,
    sizes: Sizes | None = None,
    seed: int = 0,
) -> Benchmark:
    """Choose the rows of a benchmark; training sets of different strengths share what they can.

    Images without a class of either labeling, and exact copies of others, are left out. Groups are
    kept together, and near copies of each other where there are no groups; a partition that came
    with the data is kept, and what a discovery has seen is not tested on.

    Args:
        dataset: images.
        target: a labeling of its images, of two classes or more.
        task: a binary labeling of the same images. Of two classes of the target, the first agrees
            with its first; more are put in two halves by how they lean on it.
        strengths: from 0.5 to 1, told to two digits.
        sizes: of the parts.
        seed: decides.

    Raises:
        ConfigError: for other strengths, a task of more classes, features that stand alone.
        DataError: for labelings of other images, or too few of a class that agree, or differ.
    """
    dataset.require_images("a benchmark")
    chosen, sizes = _checked(strengths), sizes or Sizes()
    _check_labelings(dataset, target, task)
    both_N = target.known_N & task.known_N
    side_C = groups_of(_only(task, both_N), _only(target, both_N))
    most = {True: chosen[-1], False: 1 - chosen[0]}
    wanted = {agrees: sizes.wanted(share) for agrees, share in most.items()}
    deal = Deal.of(dataset, target, task, side_C, wanted, seed)
    dealt = dealing.pools(deal)
    train, validation, test = _counts(dealt, target, most, sizes)
    rng = generator(seed, "benchmark order")
    found = Benchmark(
        dataset=dataset,
        target=target,
        task=task,
        side_C=side_C,
        strengths=chosen,
        train={s: _mixed(dealt[TRAIN], s, train, rng) for s in chosen},
        validation={s: _mixed(dealt[VALIDATION], s, validation, rng) for s in chosen},
        tests={
            AGREEING: _mixed(dealt["test"], 1.0, test, rng),
            CONFLICTING: _mixed(dealt["test"], 0.0, test, rng),
        },
        copies=deal.copies,
        together=deal.near,
        seed=seed,
    )
    return replace(found, near=_near(found))


def _near(benchmark: Benchmark) -> int:
    """Count test images with a near copy that is trained or validated on, at any strength."""
    used = np.unique(np.concatenate([*benchmark.train.values(), *benchmark.validation.values()]))
    tested = np.sort(np.concatenate(list(benchmark.tests.values())))
    return across(benchmark.dataset.images, used, tested)


def _mixed(
    dealt: Mapping[Cell, IntArray], strength: float, size: int, rng: np.random.Generator
) -> IntArray:
    """Take so many rows of each class, a share of them from the cell that agrees; shuffle them."""
    agreeing, found = round(strength * size), []
    for (_, agrees), rows in dealt.items():
        found.append(rows[: agreeing if agrees else size - agreeing])
    return rng.permutation(np.concatenate(found))


def _counts(
    dealt: Pools, target: Labeling, most: Mapping[bool, float], sizes: Sizes
) -> tuple[int, int, int]:
    """Return how many images of each class can be trained, validated and tested on.

    Raises:
        ConfigError: where fewer are asked for than shares can be told of.
        DataError: where there are none, or so few.
    """
    if sizes.train is not None and 2 * sizes.train < _FEWEST * len(dealt[TRAIN]):
        raise ConfigError(
            f"{sizes.train} images to train on are too few for {len(dealt[TRAIN]) // 2} classes",
            where="sizes of the benchmark",
            hint=f"give {_FEWEST * len(dealt[TRAIN]) // 2} or more",
        )
    shares = {TRAIN: most, VALIDATION: most, TEST: {True: 1.0, False: 1.0}}
    free = {
        part: min(_of_class(dealt, shares, part, cell) for cell in cells)
        for part, cells in dealt.items()
    }
    lacking = [part for part in free if free[part] < (_FEWEST if part == TRAIN else 1)]
    if lacking:
        raise DataError(
            f"too few images for a benchmark: {_scarcest(dealt, shares, target, lacking)}",
            where=target.name,
            hint="give more images, another task or target, or fewer classes (label:A,B)",
        )
    train = free[TRAIN]
    if sizes.train is not None:
        train = min(train, 2 * sizes.train // len(dealt[TRAIN]))
    train -= train % _STEP if train >= _EVEN else 0
    validation = min(free[VALIDATION], max(1, round(sizes.validation * train)))
    validation -= validation % _STEP if validation >= _EVEN else 0
    test = min(free[TEST], max(1, round(sizes.test * train)))
    return train, validation, test


def _of_class(
    dealt: Pools, shares: Mapping[str, Mapping[bool, float]], part: str, cell: Cell
) -> int:
    """Return how many images of its class a cell lets a part have, at every strength."""
    share = shares[part][cell[1]]
    if share <= 1e-9:
        return sum(map(len, dealt[part].values()))
    # a hair above: 0.1 of 30 is 2.9999999999999996 in floating point
    return int(len(dealt[part][cell]) / share + 1e-6)


def _scarcest(
    dealt: Pools,
    shares: Mapping[str, Mapping[bool, float]],
    target: Labeling,
    lacking: Sequence[str],
) -> str:
    """Tell of the images that are lacking, and for what, of the parts that lack some."""
    cells = [(part, cell) for part in lacking for cell in dealt[part]]
    part, cell = min(cells, key=lambda own: _of_class(dealt, shares, *own))
    how = "agrees" if cell[1] else "differs"
    there = sum(len(dealt[own][cell]) for own in dealt)
    use = {TRAIN: "train", VALIDATION: "validate"}.get(part, "test")
    return (
        f"{target.classes[cell[0]]} has {there} images on which the task {how}, and "
        f"{len(dealt[part][cell])} of them are free to {use} on"
    )


def _checked(strengths: Sequence[float]) -> tuple[float, ...]:
    chosen = tuple(sorted({round(float(s), 2) for s in strengths}))
    if not chosen or not all(0.5 <= s <= 1 for s in chosen):
        raise ConfigError(
            f"strengths are {list(strengths)}",
            where="strengths of the benchmark",
            hint="give shares from 0.5 to 1",
        )
    return chosen


def _check_labelings(dataset: Dataset, target: Labeling, task: Labeling) -> None:
    for labeling in (target, task):
        if not np.array_equal(labeling.ids_N, dataset.ids):
            raise DataError(
                f"{labeling.name} labels other images, or in another order",
                where=dataset.name,
                hint="take it from the data set: dataset.target(SPEC)",
            )
    if task.k != 2:
        raise ConfigError(
            f"{task.name} has {task.k} classes",
            where="task of the benchmark",
            hint="give a task of two classes",
        )
    if len(np.unique(target.labels_N[target.known_N])) < 2:
        raise DataError(
            f"{target.name} has images of one class",
            where=dataset.name,
            hint="give a target with two classes or more",
        )


def _only(labeling: Labeling, rows_N: BoolArray) -> Labeling:
    coordinates, seen = labeling.coordinates_NC, labeling.seen_N
    return replace(
        labeling,
        labels_N=labeling.labels_N[rows_N],
        ids_N=labeling.ids_N[rows_N],
        coordinates_NC=None if coordinates is None else coordinates[rows_N],
        seen_N=None if seen is None else seen[rows_N],
    )
