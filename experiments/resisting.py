"""Many trainings on splits that are given, with the package's own parts and one journal.

Axes: N images, n training images, m measured images, C classes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from experiments.laboratory import Laboratory
from taskdiscovery.config import ResolvedLearner, ScoreConfig
from taskdiscovery.errors import NumericalError
from taskdiscovery.executors import resolve_training, workbench
from taskdiscovery.networks.placing import hold
from taskdiscovery.runtime.progress import Silent
from taskdiscovery.runtime.progress_bar import callbacks_of
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.store import Checkpoints
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Request, Seeds, Training, Workbench, predicted
from taskdiscovery.types import BoolArray, IntArray, Labeling

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many images a study looks at; a test makes them few.

    Attributes:
        fit: trained on.
        chosen: of a test side, on which a split is judged before it is chosen; never reported.
        held: a small set without the shortcut, for last layers and for settings of learners.
        conflicting: share of the training images that conflict with the shortcut, where some do.
        features: images that a backbone looks at.
    """

    fit: int = 10_000
    chosen: int = 2000
    held: int = 500
    conflicting: float = 0.05
    features: int = 8000


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """A training and the images on which its predictions are wanted.

    Attributes:
        key: its name in the journal.
        target: what is learnt.
        fit: (n,) images that are trained on.
        measured: (m,) images that are asked.
        seeds: of weights and order.
    """

    key: str
    target: Labeling
    fit: IntArray
    measured: IntArray
    seeds: Seeds


@dataclass(frozen=True, eq=False, kw_only=True)
class Stand:
    """A workbench with a journal that lasts.

    Attributes:
        bench: images, learner, journal.
        config: resolved.
    """

    bench: Workbench
    config: ScoreConfig

    def training(self, case: Case, learner: str = "") -> Training:
        """Return the training of a case; with another learner of the same recipe if named."""
        bench = self.bench
        if learner:
            bench = replace(bench, learner=self.learner(learner))
        return bench.training(case.target, case.fit, case.measured, case.seeds)

    def learner(self, text: str) -> ResolvedLearner:
        """Return a learner of the same recipe, on the same device."""
        return replace(self.config.learner_of(text), device=self.bench.learner.device)

    def predictions(self, cases: Sequence[Case], learner: str = "") -> dict[str, IntArray]:
        """Train what is not trained yet; return (m,) classes that each predicts, by key.

        A training that diverges has no classes, and is said.
        """
        requests = [
            Request(key=case.key, training=self.training(case, learner), keep=predicted)
            for case in cases
        ]
        if cases:
            hold(self.bench.images, np.concatenate([np.r_[c.fit, c.measured] for c in cases]))
        self.bench.executor.submit(requests, Silent())
        found: dict[str, IntArray] = {}
        for number, request in enumerate(requests):
            try:
                record = self.bench.executor.result(request, Silent())
            except NumericalError as error:
                _LOG.warning("%s: %s", request.key, error.what)
                continue
            found[request.key] = record.arrays["predicted"].astype(np.int64)
            if number % 20 == 0:
                _LOG.warning("%d of %d: %s", number + 1, len(requests), request.key)
        return found


@contextmanager
def stand(
    lab: Laboratory, learner: str, name: str, images: int, seen_N: BoolArray
) -> Iterator[Stand]:
    """Open a workbench whose journal lies in the working directory.

    Args:
        lab: data and hardware.
        learner: that is trained; preset quick.
        name: of the journal.
        images: that a training sees.
        seen_N: (N,) images that may be trained on; pixels are normalized by these, as `split` does.
    """
    config = ScoreConfig(learner=learner, train_images=images, executor="serial", **lab.hardware)
    config = resolve_training(config, lab.dataset, 1)
    lab.work.mkdir(parents=True, exist_ok=True)
    header = {"command": name, "learner": learner, "images": images, "config": {}}
    header |= {"data": lab.dataset.fingerprint, "precision": config.precision}
    journal = Journal(Checkpoints(lab.work / f"{name} {learner}"), header=header)
    journal.load()
    rows, own, told = np.flatnonzero(seen_N), config.learner_of(), callbacks_of(())
    with workbench(lab.dataset, config, own, rows, journal, told) as bench:
        yield Stand(bench=bench, config=config)


def seeds_of(seed: int, *job: str | int) -> Seeds:
    """Return the seeds of a training, by what it is."""
    return Seeds(derive(seed, *job, "init"), derive(seed, *job, "order"))


def drawn(
    mask_N: BoolArray, target: Labeling, counts_C: Sequence[int], *job: str | int
) -> IntArray:
    """Draw so many images of each class, in rising order; fewer of a class that has fewer.

    Args:
        mask_N: images that may be drawn.
        target: whose classes are counted.
        counts_C: how many of each.
        job: what the draw is for; it decides, with the seed in front.
    """
    rng = generator(0, *job)
    parts = [
        rng.permutation(np.flatnonzero(mask_N & (target.labels_N == c)))[:count]
        for c, count in enumerate(counts_C)
    ]
    return np.sort(np.concatenate(parts)).astype(np.int64)


def even(mask_N: BoolArray, target: Labeling, most: int, *job: str | int) -> IntArray:
    """Draw as many images of every class, at most so many in all; see `drawn`."""
    counts_C = np.bincount(target.labels_N[mask_N & target.known_N], minlength=target.k)
    each = min(int(counts_C.min()), most // target.k)
    return drawn(mask_N, target, [each] * target.k, *job)


def accuracy(predicted_m: IntArray, measured: IntArray, rows: IntArray, target: Labeling) -> float:
    """Return accuracy on some of the measured images.

    Args:
        predicted_m: classes of `measured`.
        measured: (m,) in rising order.
        rows: some of them.
        target: the truth.
    """
    places = np.searchsorted(measured, rows)
    return round(float((predicted_m[places] == target.labels_N[rows]).mean()), 4)
