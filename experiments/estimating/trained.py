"""Train a learner several times on some images, and ask it about others.

Axes: K runs, n images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from taskdiscovery.config import ScoreConfig
from taskdiscovery.executors import resolve_training, workbench
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.splits.measure import run_seeds
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Workbench
from taskdiscovery.training.members import Member, kept
from taskdiscovery.types import Dataset, FloatArray, ImageArray, IntArray, Labeling

#: images that a network is asked of at once.
AT_ONCE = 20_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Runs:
    """What runs were trained, to be asked."""

    members: tuple[Member, ...]

    def probabilities(self, images: ImageArray) -> FloatArray:
        """Return (K, n, C) of (n, H, W, channels) images."""
        return np.stack([_asked(member, images) for member in self.members])

    def predicted(self, images: ImageArray) -> IntArray:
        """Return (K, n) classes."""
        return np.stack([_asked(member, images).argmax(axis=1) for member in self.members])


def train(dataset: Dataset, labeling: Labeling, rows: IntArray, config: ScoreConfig) -> Runs:
    """Train `config.runs` runs on some rows.

    Args:
        dataset: the images.
        labeling: of all of them.
        rows: to train on.
        config: as given; its seed decides.
    """
    with ready(dataset, config, rows) as bench:
        return trained(bench, labeling, rows, config)


@contextmanager
def ready(
    dataset: Dataset, config: ScoreConfig, rows: IntArray, labelings: int = 1
) -> Iterator[Workbench]:
    """Open a bench for trainings on some rows, `config.runs` for each of so many labelings."""
    config = resolve_training(config, dataset, config.runs * labelings)
    learner, callbacks = config.learner_of(), Callbacks()
    with workbench(dataset, config, learner, rows, Journal(), callbacks) as bench:
        yield bench


def trained(bench: Workbench, labeling: Labeling, rows: IntArray, config: ScoreConfig) -> Runs:
    """Train on a bench that is open for these rows."""
    passes = float(len(rows) * config.runs)
    with bench.callbacks.stage("training", passes) as meter:
        return Runs(
            members=tuple(
                kept(
                    bench.training(labeling, rows, rows[:1], run_seeds(config, k)),
                    bench.images,
                    meter,
                )
                for k in range(config.runs)
            )
        )


def _asked(member: Member, images: ImageArray) -> FloatArray:
    blocks = [images[i : i + AT_ONCE] for i in range(0, len(images), AT_ONCE)]
    return np.concatenate([member.probabilities(block) for block in blocks])
