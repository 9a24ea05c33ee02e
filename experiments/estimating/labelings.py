"""Forty labelings of every kind, of CIFAR-10's training images in their original order.

Human cuts, some with flipped or random labels; tasks that were discovered and published; thresholds
of image statistics and of principal components; labelings of unequal classes, and of more than two.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from benchmarks import human

from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.types import Dataset, FloatArray, IntArray, Labeling, Tasks

#: human cuts beside the seven core ones, whose number decides nothing.
ANOTHER = 77
FLIPPED = (0.1, 0.2, 0.3, 0.4)
STATISTICS = ("brightness", "saturation")
#: classes of labelings with more than two, by the class of CIFAR-10: kinds of animals and vehicles.
KINDS = (0, 0, 1, 2, 2, 2, 1, 2, 0, 0)
#: pairs of classes.
PAIRS = (0, 1, 0, 2, 3, 2, 4, 3, 1, 4)
#: one class, or some, against the rest.
UNEQUAL = ((0,), (3,), (1, 9))


def every_kind(
    dataset: Dataset, discovered: Sequence[Tasks], published: Path, seed: int
) -> list[Labeling]:
    """Return the labelings, each named by its kind and a number.

    Args:
        dataset: CIFAR-10's 50,000 training images.
        discovered: of two searches, four tasks each are taken.
        published: the table of published self-supervised tasks.
        seed: of flips and random labels.
    """
    found: list[Labeling] = []
    for kind, labels in _all(dataset, discovered, published, seed):
        number = sum(own.name.split()[0] == kind for own in found)
        labels_N = np.asarray(labels, dtype=np.int64)
        classes = tuple(map(str, range(int(labels_N.max()) + 1)))
        found.append(
            Labeling(name=f"{kind} {number}", classes=classes, labels_N=labels_N, ids_N=dataset.ids)
        )
    return found


def _all(
    dataset: Dataset, discovered: Sequence[Tasks], published: Path, seed: int
) -> Iterator[tuple[str, IntArray]]:
    assert dataset.labels is not None
    rng, label_N = np.random.default_rng(seed), dataset.labels
    cuts = [np.isin(label_N, human.HUMAN[n]).astype(np.int64) for n in (*human.CORE, ANOTHER)]
    for cut_N in cuts:
        yield "human", cut_N
    for share, cut_N in zip(FLIPPED, cuts, strict=False):
        yield "flipped", np.where(rng.random(len(cut_N)) < share, 1 - cut_N, cut_N)
    for rate in (0.5, 0.5, 0.2):
        yield "random", (rng.random(len(label_N)) < rate).astype(np.int64)
    for tasks in discovered:
        for d in (0, 2, 4, 7):
            yield "discovered", tasks[d].labels_N
    with published.open() as lines:
        table = np.array([row[1:] for row in list(csv.reader(lines))[1:]], dtype=np.int64)
    for column_N in table.T:
        yield "published", column_N
    for score_N in (*_statistics(dataset), *_components(dataset)):
        yield "threshold", (score_N > np.median(score_N)).astype(np.int64)
    for classes in UNEQUAL:
        yield "unequal", np.isin(label_N, classes).astype(np.int64)
    yield "several", label_N
    yield "several", np.asarray(KINDS)[label_N]
    yield "several", np.asarray(PAIRS)[label_N]
    yield "several", 2 * discovered[0][0].labels_N + discovered[0][1].labels_N
    (bright_N, *_), edges = _statistics(dataset), (0.2, 0.4, 0.6, 0.8)
    yield "several", np.searchsorted(np.quantile(bright_N, edges), bright_N)
    yield (
        "several",
        np.where(rng.random(len(label_N)) < 0.3, rng.integers(10, size=50_000), label_N),
    )


def _statistics(dataset: Dataset) -> list[FloatArray]:
    table = image_statistics(dataset.images)
    return [table[name].to_numpy() for name in STATISTICS]


def _components(dataset: Dataset) -> list[FloatArray]:
    """Return two principal components of the pixels, the second and the fifth."""
    pixels_NP = dataset.images.reshape(len(dataset), -1).astype(np.float32) / 255
    centred_NP = pixels_NP - pixels_NP.mean(axis=0)
    _, axes = np.linalg.eigh(centred_NP.T @ centred_NP)
    return [centred_NP @ axes[:, -2], centred_NP @ axes[:, -5]]
