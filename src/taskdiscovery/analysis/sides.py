"""What stands on the two sides of a split: classes, attribute levels and image statistics.

A split puts light images of one class and dark ones of another on the train side, and turns this
around on the test side: over all images the two sides are then alike. So they are compared within
each group of classes (of two classes: within each class), where they part, and over all images.

One scale for all: the chance that an image of the test side has more of a property than one of the
train side, less the chance that it has less (2 AUC - 1); for a level that is the difference of its
rates. Intervals from placement values (DeLong 1988), in which a group of images is one draw;
false discoveries are controlled over all rows (Benjamini and Hochberg).

Axes: n images, m of one side, P properties.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats

from taskdiscovery.analysis.properties import attribute_factor
from taskdiscovery.data import partition
from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.types import (
    TEST,
    TRAIN,
    WITHIN,
    BoolArray,
    Dataset,
    Document,
    FloatArray,
    IntArray,
    Split,
)

#: images that are looked at, at most, and those of a side below which a row is left out.
IMAGES, AT_LEAST = 6000, 10
#: rows that are kept.
KEPT = 100


@dataclass(frozen=True, kw_only=True)
class Row:
    """A property on the two sides.

    Attributes:
        kind: `class`, `attribute` or `statistic`.
        name: e.g. "label = cat", "Male = 1", "brightness".
        among: the classes among whose images the sides are compared; "" for all.
        train, test: rate of the level, or mean, on either side.
        difference, low, high: of test against train, in [-1, 1], with a 95 % interval.
        q: of no difference, controlled over all rows.
        images: how many were compared.
    """

    kind: str
    name: str
    among: str
    train: float
    test: float
    difference: float
    low: float
    high: float
    q: float
    images: int


def describe(split: Split, dataset: Dataset, seed: int = 0) -> tuple[Document, ...]:
    """Compare the sides of a split, the greatest difference first.

    Args:
        split: the split.
        dataset: the images that were split.
        seed: decides which images are looked at where there are many.
    """
    role_N = split.role_N
    rows = partition.sample(np.flatnonzero(role_N >= 0), IMAGES, seed, "sides")
    properties = _properties(split, dataset, rows)
    codes_n = None if dataset.groups is None else partition.codes(dataset.groups[rows])
    on_test_n = role_N[rows] == TEST
    assert np.isin(role_N[rows][~on_test_n], (TRAIN, WITHIN)).all()
    found = []
    for among, own_n in _parts(split, rows).items():
        for kind, name, values_n in properties:
            used = own_n & np.isfinite(values_n)
            codes = None if codes_n is None else codes_n[used]
            row = _row((kind, name, among), values_n[used], on_test_n[used], codes)
            if row is not None:
                found.append(row)
    if not found:
        return ()
    q = stats.false_discovery_control([row.q for row in found])
    told = [{**asdict(row), "q": float(value)} for row, value in zip(found, q, strict=True)]
    return tuple(sorted(told, key=lambda row: -abs(row["difference"]))[:KEPT])


def _parts(split: Split, rows: IntArray) -> dict[str, BoolArray]:
    """Return the images among which the sides are compared, by name."""
    truth_n = split.target.labels_N[rows]
    parts = {"": np.ones(len(rows), dtype=np.bool_)}
    for side in (0, 1):
        parts[", ".join(grouped(split)[side])] = np.isin(truth_n, _classes(split, side))
    return parts


def _classes(split: Split, side: int) -> list[int]:
    return [c for c in range(split.target.k) if (c in split.setup.group) == bool(side)]


def grouped(split: Split) -> tuple[list[str], list[str]]:
    """Return the names of the classes that count as class 0 of the task, and as class 1."""
    names = split.target.classes
    zero, one = ([names[c] for c in _classes(split, side)] for side in (0, 1))
    return zero, one


def _properties(
    split: Split, dataset: Dataset, rows: IntArray
) -> list[tuple[str, str, FloatArray]]:
    """Return kind, name and (n,) values of all that is known of the images; NaN where it is not."""
    target, found = split.target, list[tuple[str, str, FloatArray]]()
    truth_n = target.labels_N[rows]
    if target.k > 2:
        found += _levels("class", target.name, truth_n, target.classes)
    if dataset.labels is not None and len(dataset.classes) > target.k:
        found += _levels("class", "label", dataset.labels[rows], dataset.classes)
    if dataset.attributes is not None:
        for column in dataset.attributes.columns:
            found += _attribute(str(column), dataset.attributes[column].iloc[rows])
    if dataset.has_images:
        statistics = image_statistics(dataset.images, rows)
        found += [
            ("statistic", str(name), statistics[name].to_numpy(np.float64))
            for name in statistics.columns
        ]
    return found


def _levels(
    kind: str, name: str, codes_n: IntArray, levels: tuple[str, ...]
) -> list[tuple[str, str, FloatArray]]:
    return [
        (kind, f"{name} = {level}", np.where(codes_n >= 0, codes_n == code, np.nan))
        for code, level in enumerate(levels)
    ]


def _attribute(name: str, column: pd.Series) -> list[tuple[str, str, FloatArray]]:
    """Return an attribute as numbers, or as its levels; of two levels the latter alone."""
    factor = attribute_factor(column)
    if factor is None:
        return []
    if not factor.levels:
        return [("attribute", name, np.where(factor.known, factor.values, np.nan))]
    codes_n = np.where(factor.known, factor.values, -1).astype(np.int64)
    found = _levels("attribute", name, codes_n, factor.levels)
    return found[1:] if len(found) == 2 else found


def _row(
    names: tuple[str, str, str],
    values_m: FloatArray,
    on_test_m: BoolArray,
    codes_m: IntArray | None,
) -> Row | None:
    """Compare a property between the sides; None where it is the same for all, or for too few."""
    test, train = values_m[on_test_m], values_m[~on_test_m]
    if min(len(test), len(train)) < AT_LEAST or values_m.min() == values_m.max():
        return None
    # Placement of each image: how much of the other side lies below it, ties counting half.
    rank = stats.rankdata(values_m)
    above_m = np.empty(len(values_m))
    above_m[on_test_m] = (rank[on_test_m] - stats.rankdata(test)) / len(train)
    above_m[~on_test_m] = (rank[~on_test_m] - stats.rankdata(train)) / len(test)
    effect = 2 * float(above_m[on_test_m].mean()) - 1
    variance = 0.0
    for side in (on_test_m, ~on_test_m):
        own = above_m[side] - above_m[side].mean()
        if codes_m is not None:
            own = np.bincount(np.unique(codes_m[side], return_inverse=True)[1], weights=own)
        spread = float((own**2).sum()) * len(own) / max(len(own) - 1, 1)
        variance += (spread + 0.5) / int(side.sum()) ** 2  # not nothing where sides part wholly
    error = 2 * variance**0.5
    kind, name, among = names
    return Row(
        kind=kind,
        name=name,
        among=among,
        train=float(train.mean()),
        test=float(test.mean()),
        difference=effect,
        low=max(-1.0, effect - 1.96 * error),
        high=min(1.0, effect + 1.96 * error),
        q=float(2 * stats.norm.sf(abs(effect) / error)),
        images=len(values_m),
    )
