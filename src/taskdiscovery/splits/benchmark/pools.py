"""Which images may be trained on, validated on and tested on, before any strength is chosen.

A cell holds the images of one class of the target on which the task agrees with it, or those on
which it does not. Each cell is cut into the three parts, as much for each as the strengths can ask
for; where images belong together, whole groups are dealt out, and cells follow. Near copies of each
other go where the first of them goes, where neither groups nor a partition came with the data.

Axes: N images, G groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from taskdiscovery.data import partition
from taskdiscovery.data.images.contents import digests
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.splits.benchmark.near import chains
from taskdiscovery.types import BoolArray, Dataset, IdArray, IntArray, Labeling

TEST, VALIDATION, TRAIN = "test", "validation", "train"
#: (class of the target, whether the task agrees).
Cell = tuple[int, bool]
Pools = Mapping[str, Mapping[Cell, IntArray]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Deal:
    """What images are dealt out by.

    Attributes:
        target_N: (N,) class of the target.
        agree_N: (N,) True where the task agrees.
        open_N: (N,) True where the image takes part.
        held_N: (N,) True for images to test on, False for others, where that is settled; or None.
        groups: (N,) what belongs together, as of a data set; or None.
        near_N: (N,) number of what is a near copy of each other, -1 for what is none; or None.
        wanted: for cells that agree and for those that do not, how much each part is to have.
        seed: decides.
        copies: images that would take part, were they no exact copies of others.
    """

    target_N: IntArray
    agree_N: BoolArray
    open_N: BoolArray
    held_N: BoolArray | None
    groups: IdArray | None
    near_N: IntArray | None
    wanted: Mapping[bool, Mapping[str, float]]
    seed: int
    copies: int

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        target: Labeling,
        task: Labeling,
        side_C: IntArray,
        wanted: Mapping[bool, Mapping[str, float]],
        seed: int,
    ) -> Self:
        """Say of each image which cell it is in, and what it may be used for.

        Args:
            dataset, target, task: as of `compose`.
            side_C: the class of the task that agrees with each class of the target.
            wanted, seed: as the attributes.
        """
        held_N, may_N = _held_out(dataset, (target, task))
        usable_N = may_N & target.known_N & task.known_N
        open_N = _without_copies(dataset, usable_N)
        return cls(
            target_N=target.labels_N,
            agree_N=side_C[target.labels_N] == task.labels_N,
            open_N=open_N,
            held_N=held_N,
            groups=dataset.groups,
            near_N=_near(dataset, open_N),
            wanted=wanted,
            seed=seed,
            copies=int(usable_N.sum() - open_N.sum()),
        )

    @property
    def near(self) -> int:
        """Images that are kept in one part with their near copies."""
        return 0 if self.near_N is None else int((self.near_N >= 0).sum())

    def cells(self) -> dict[Cell, IntArray]:
        """Return the rows of each cell of classes that have some, in an order from the seed."""
        found = {}
        for c in np.unique(self.target_N[self.open_N]).tolist():
            for agrees in (True, False):
                own = self.open_N & (self.target_N == c) & (self.agree_N == agrees)
                rng = generator(self.seed, "benchmark", c, int(agrees))
                found[c, agrees] = rng.permutation(np.flatnonzero(own)).astype(np.int64)
        return found


def _without_copies(dataset: Dataset, usable_N: BoolArray) -> BoolArray:
    """Return (N,) True for usable images that are no exact copy of an earlier one."""
    rows, kept_N = np.flatnonzero(usable_N), np.zeros(len(dataset), dtype=np.bool_)
    kept_N[rows[np.unique(digests(dataset.images)[rows], return_index=True)[1]]] = True
    return kept_N


def _near(dataset: Dataset, open_N: BoolArray) -> IntArray | None:
    """Say which open images are near copies of each other; None where parts are not ours to say."""
    if dataset.groups is not None or dataset.train_N is not None:
        return None
    rows = np.flatnonzero(open_N)
    chain_n = chains(dataset.images, rows)
    if chain_n is None:
        return None
    near_N = np.full(len(dataset), -1, dtype=np.int64)
    several_n = np.bincount(chain_n, minlength=len(rows))[chain_n] > 1
    near_N[rows[several_n]] = chain_n[several_n]
    return near_N


def _held_out(
    dataset: Dataset, labelings: Sequence[Labeling]
) -> tuple[BoolArray | None, BoolArray]:
    """Say what may only be tested on, and what may be neither tested nor trained on.

    A partition that came with the data is kept; what the discovery of a labeling has seen is never
    tested on.

    Returns:
        (N,) True for images to test on, or None where all may be; (N,) True where the image may
        take part.
    """
    seen_N = np.zeros(len(dataset), dtype=np.bool_)
    for labeling in labelings:
        if labeling.seen_N is not None:
            seen_N |= labeling.seen_N
    if dataset.train_N is not None:
        return ~dataset.train_N, dataset.train_N | ~seen_N
    return (~seen_N if seen_N.any() else None), np.ones(len(dataset), dtype=np.bool_)


def pools(deal: Deal) -> Pools:
    """Cut the cells into parts.

    Args:
        deal: what to go by.

    Returns:
        For each part and cell the rows, in the order in which they are to be taken.
    """
    cells = deal.cells()
    if deal.groups is not None:
        part_N = _by_groups(deal, deal.groups)
        return {
            part: {cell: rows[part_N[rows] == i] for cell, rows in cells.items()}
            for i, part in enumerate((TEST, VALIDATION, TRAIN))
        }
    found: dict[str, dict[Cell, IntArray]] = {TEST: {}, VALIDATION: {}, TRAIN: {}}
    for cell, rows in cells.items():
        wanted = deal.wanted[cell[1]]
        if deal.held_N is None:
            found[TEST][cell], rows = _cut(rows, wanted[TEST] / sum(wanted.values()))
        else:
            found[TEST][cell], rows = rows[deal.held_N[rows]], rows[~deal.held_N[rows]]
        both = wanted[VALIDATION] + wanted[TRAIN]
        share = wanted[VALIDATION] / both if both else 0.0
        found[VALIDATION][cell], found[TRAIN][cell] = _cut(rows, share)
    return found if deal.near_N is None else _together(deal, deal.near_N, cells, found)


def _together(
    deal: Deal, near_N: IntArray, cells: Mapping[Cell, IntArray], found: Pools
) -> dict[str, dict[Cell, IntArray]]:
    """Bring near copies into the part of one of them, drawn at random: shares stay as they are.

    Where some of them must not be tested on, it is one of these.
    """
    names = (TEST, VALIDATION, TRAIN)
    part_N = np.full(len(near_N), -1, dtype=np.int64)
    for i, part in enumerate(names):
        for rows in found[part].values():
            part_N[rows] = i
    rows = np.flatnonzero(near_N >= 0)
    drawn = generator(deal.seed, "benchmark near").permutation(len(rows))
    kept = np.zeros(len(rows)) if deal.held_N is None else deal.held_N[rows].astype(np.float64)
    order = np.lexsort((drawn, kept, near_N[rows]))  # within each, those not to be tested on first
    _, first, which = np.unique(near_N[rows][order], return_index=True, return_inverse=True)
    part_N[rows[order]] = part_N[rows[order]][first][which]
    return {
        part: {cell: own[part_N[own] == i] for cell, own in cells.items()}
        for i, part in enumerate(names)
    }


def _cut(rows: IntArray, share: float) -> tuple[IntArray, IntArray]:
    """Cut off a share, at least one row where there is something to share."""
    size = max(round(share * len(rows)), int(0 < share < 1 < len(rows)))
    return rows[:size], rows[size:]


def _by_groups(deal: Deal, groups_N: IdArray) -> IntArray:
    """Deal whole groups out; return (N,) 0 for test, 1 for validation, 2 for training."""
    part_N = np.full(len(groups_N), 2, dtype=np.int64)
    total = {
        part: deal.wanted[True][part] + deal.wanted[False][part]
        for part in (TEST, VALIDATION, TRAIN)
    }
    rows = np.flatnonzero(deal.open_N)
    if deal.held_N is not None:
        part_N[rows[deal.held_N[rows]]] = 0
        rows, total = rows[~deal.held_N[rows]], {**total, TEST: 0.0}
    codes_n = partition.codes(groups_N[rows])
    sizes_G = np.bincount(codes_n)
    order_G = generator(deal.seed, "benchmark groups").permutation(len(sizes_G))
    middle_G = np.empty(len(sizes_G))
    middle_G[order_G] = np.cumsum(sizes_G[order_G]) - sizes_G[order_G] / 2
    ends = np.cumsum([total[TEST], total[VALIDATION]]) / sum(total.values()) * len(rows)
    part_N[rows] = np.searchsorted(ends, middle_G, side="right")[codes_n]
    return part_N
