"""Searches from several seeds, and what is found in frozen features: shared by several studies.

Axes: N images, D tasks.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

import taskdiscovery as td
from experiments.laboratory import Laboratory
from experiments.ledger import Arrays, Ledger
from experiments.records import Row
from experiments.study import found
from taskdiscovery.data import partition
from taskdiscovery.types import Dataset, Tasks

_LOG = logging.getLogger("taskdiscovery")
#: sides of images as the backbone sees them; of CIFAR-10, larger ones tell it hardly more.
BACKBONE, SIDE = "lite0", 96
#: what a recorded score keeps, so that files stay small.
_KEPT = ("task", "kind", "agreement", "low", "high", "kappa", "rate", "accuracy", "precision")


def seeded(lab: Laboratory, learner: str, tasks: int, seed: int, **more: Any) -> tuple[Tasks, Row]:
    """Search as `found` does, from a seed, which also draws the partition."""
    return found(lab, learner, tasks, **({"seed": seed} if seed else {}), **more)


def pixels(lab: Laboratory, tasks: int, seed: int, **more: Any) -> Tasks:
    """Return principal components of pixels as tasks; all learners share them."""
    more = {"method": "spectral", "start": "pixels", **more}
    return seeded(lab, "linear", tasks, seed, **more)[0]


def short(row: Row, **more: Any) -> Row:
    """Return what is kept of a score, with the seed or what else is to be said of it."""
    kept = {key: row[key] for key in _KEPT}
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in kept.items()}
    return {**rounded, **more, "seconds": row["seconds"]}


def features_of(lab: Laboratory) -> Dataset:
    """Return the data set with features of the frozen backbone, which are kept in the cache."""
    _LOG.warning("features of %s", BACKBONE)
    return td.embed(lab.dataset, backbone=BACKBONE, size=SIDE, callbacks=(), **lab.hardware)


def pursued(lab: Laboratory, tasks: int, seed: int) -> Tasks:
    """Find tasks in frozen features by pursuit, or take what was found before.

    They lie in the working directory in a file of a few megabytes: a machine without the weights
    of the backbone can be given it.

    Args:
        lab: images.
        tasks: how many at most; fewer is an answer.
        seed: of partition and search.
    """

    def search() -> Arrays:
        tried = td.discover(
            features_of(lab),
            method=td.Pursuit(),
            tasks=tasks,
            seed=seed,
            train_images=20_000,
            **lab.hardware,
            callbacks=(),
        ).tasks
        assert tried.coordinates_NP is not None
        return {
            "labels": tried.labels_ND.astype(np.int8),
            "coordinates": tried.coordinates_NP.astype(np.float16),
        }

    kept = Ledger(place=lab.work).known(f"pursuit d={tasks} seed={seed}", search)
    D = kept["labels"].shape[1]
    return Tasks(
        labels_ND=kept["labels"].astype(np.int64),
        names=tuple(f"task_{d:03d}" for d in range(D)),
        ids_N=lab.dataset.ids,
        k=(2,) * D,
        coordinates_NP=kept["coordinates"].astype(np.float32),
        seen_N=partition.of(lab.dataset, seed),
    )
