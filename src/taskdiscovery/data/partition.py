"""Who sees what: the partition into `train` and `test`, and the parts cut out of either.

Discovery sees `train` only; agreement is measured on `test` only; what is chosen is chosen on a
validation part cut out of `train`. A partition that came with the data is kept; else it is drawn
from the seed. Images of one group (a patient, a video) stay together.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, Dataset, IdArray, IntArray

TEST_SHARE, TEST_AT_MOST = 0.1, 10_000
#: images of which a test part can be cut.
AT_LEAST = 20


def of(dataset: Dataset, seed: int) -> BoolArray:
    """Return (N,) True for `train`: as the data has it, else drawn.

    Raises:
        DataError: as `draw`.
    """
    if dataset.train_N is not None:
        return dataset.train_N.copy()
    return draw(len(dataset), seed, dataset.groups)


def draw(count: int, seed: int, groups: IdArray | None = None) -> BoolArray:
    """Return (count,) True for `train`; a tenth, at most 10,000 images, is `test`.

    Args:
        count: of images.
        seed: decides.
        groups: (count,) what belongs together, "" where nothing is known; each group is on one
            side. The test part is then about a tenth, as the sizes of groups allow.

    Raises:
        DataError: for fewer than 20 images, or one group that has nearly all, of which no test part
            can be cut.
    """
    if count < AT_LEAST:
        raise DataError(
            f"{count} images are too few to hold out a test part",
            hint=f"give at least {AT_LEAST} images; scores that mean anything need a few thousand",
        )
    train = np.ones(count, dtype=np.bool_)
    size = min(TEST_AT_MOST, round(count * TEST_SHARE))
    if groups is None:
        train[generator(seed, "partition").permutation(count)[:size]] = False
        return train
    codes_N = codes(groups)
    sizes_G, taken = np.bincount(codes_N), 0
    for group in generator(seed, "partition").permutation(len(sizes_G)):
        if taken < size and taken + sizes_G[group] <= max(2 * size, 1):
            train[codes_N == group] = False
            taken += int(sizes_G[group])
    if not taken:
        raise DataError(
            f"the {len(sizes_G)} groups are too large to hold out a test part",
            hint="a group may have at most a fifth of the images; name another column, or give the "
            "images to measure on as --test",
        )
    return train


def codes(groups: IdArray) -> IntArray:
    """Return (N,) numbers from 0 of the groups; an image whose group is "" is one by itself."""
    alone_N = groups == ""
    numbers_N = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    numbers_N[alone_N] = len(groups) + np.arange(int(alone_N.sum()))
    return np.unique(numbers_N, return_inverse=True)[1].astype(np.int64)


def cut(
    rows: IntArray, parts: int, rng: np.random.Generator, groups: IdArray | None = None
) -> list[IntArray]:
    """Cut rows into parts of about equal size, by chance: folds, halves.

    Args:
        rows: (n,) positions in the data set.
        parts: how many.
        rng: decides.
        groups: (N,) of the whole data set; each group lies in one part.

    Returns:
        The rows of each part, in the order drawn.

    Raises:
        DataError: where there are fewer groups than parts.
    """
    if groups is None:
        return np.array_split(rng.permutation(rows), parts)
    codes_n = codes(groups[rows])
    members = np.split(np.argsort(codes_n, kind="stable"), np.cumsum(np.bincount(codes_n))[:-1])
    if len(members) < parts:
        raise DataError(
            f"{len(members)} groups cannot be kept together in {parts} parts",
            where="--groups",
            hint="name a column with more groups, or ask for fewer folds or runs",
        )
    found: list[list[IntArray]] = [[] for _ in range(parts)]
    sizes = [0] * parts
    for group in rng.permutation(len(members)):
        least = sizes.index(min(sizes))
        found[least].append(rows[members[group]])
        sizes[least] += len(members[group])
    return [np.concatenate([rows[:0], *own]) for own in found]


def apart(rows: IntArray, share: float, rng: np.random.Generator, groups: IdArray) -> IntArray:
    """Draw whole groups that have about a share of the rows, and at least one image.

    Args:
        rows: (n,) positions in the data set.
        share: of the rows, in (0, 1).
        rng: decides.
        groups: (N,) of the whole data set.

    Returns:
        The rows of the groups drawn, in ascending order.
    """
    parts = max(2, min(round(1 / share), int(codes(groups[rows]).max()) + 1))
    return np.sort(cut(rows, parts, rng, groups)[0])


def whole(chosen_N: BoolArray, groups: IdArray | None) -> BoolArray:
    """Return (N,) True for images of which any of the same group is chosen."""
    if groups is None:
        return chosen_N
    codes_N = codes(groups)
    return np.asarray(np.bincount(codes_N, weights=chosen_N)[codes_N] > 0, dtype=np.bool_)


def draws(groups: IdArray | None, rows: IntArray) -> IntArray | None:
    """Return (n,) the number of the group of each of some images, as intervals take it."""
    return None if groups is None else codes(groups[rows])


def sample(rows: IntArray, at_most: int | None, seed: int, purpose: str) -> IntArray:
    """Return at most so many of the rows, drawn from the seed, in ascending order."""
    if at_most is None or len(rows) <= at_most:
        return rows
    return np.sort(generator(seed, "sample", purpose).permutation(rows)[:at_most])
