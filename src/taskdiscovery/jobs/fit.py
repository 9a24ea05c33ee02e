"""`fit`: train a learner on a labeling, keep it, and say how it fares on images it has not seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import FitConfig, TrainingConfig, is_convex, to_mapping
from taskdiscovery.data import partition, target_of
from taskdiscovery.data.images.contents import digests
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import DataError
from taskdiscovery.jobs.inputs import read_data
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Dataset, IntArray, Labeling

if TYPE_CHECKING:
    from taskdiscovery.training.fitted import Fitted
    from taskdiscovery.training.members import Member


def run(data: Any, target: Any, config: FitConfig, callbacks: Callbacks) -> Fitted:
    """Do the job.

    Args:
        data: anything that `load` takes.
        target: the labeling to learn, as `data.target_of` takes it; None for the config's.
        config: as given.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    dataset = read_data(data, config, callbacks)
    labeling = check_classes(target_of(dataset, config.target if target is None else target))
    train_N = partition.of(dataset, config.seed)
    fitted = train(dataset, labeling, np.flatnonzero(train_N), config, callbacks)
    held = partition.sample(
        np.flatnonzero(~train_N), config.filled().test_images, config.seed, "held out"
    )
    if not labeling.known_N[held].any():  # images to measure on may come without labels
        return fitted
    return replace(fitted, evaluation=fitted.evaluate_rows(dataset, labeling, held))


def train(
    dataset: Dataset,
    labeling: Labeling,
    rows: IntArray,
    config: TrainingConfig,
    callbacks: Callbacks,
) -> Fitted:
    """Train on some images of a data set.

    Args:
        dataset: with what the learner looks at.
        labeling: what is learnt; images without a class take no part.
        rows: images that may be trained on.
        config: as given, with `runs`.
        callbacks: told of progress.

    Raises:
        DataError: for images of fewer than two classes.
        NumericalError: where training diverges.
    """
    from taskdiscovery.executors import resolve_training
    from taskdiscovery.training import warn_if_brief
    from taskdiscovery.training.fitted import Fitted

    config = replace(config.filled(), executor="serial", jobs=None)
    config = resolve_training(config, dataset, _runs(config), {config.learner: {labeling.k}})
    fit = rows[labeling.known_N[rows]]
    fit = partition.sample(fit, config.train_images, config.seed, "fit")
    if len(np.unique(labeling.labels_N[fit])) < 2:
        raise DataError(
            f"the {len(fit)} images to train on are of one class, or none",
            where=labeling.name,
            hint="give images of at least two classes to train on",
        )
    warn_if_brief(config.learner_of(), len(fit), config.preset)
    shape, members = _members(dataset, labeling, fit, config, callbacks)
    how = ("size", "fit", "range", "missing")
    return Fitted(
        target=labeling.name,
        classes=labeling.classes,
        learner=config.learner,
        members=members,
        shape=shape,
        features=config.features if config.on_features else "",
        backbone=dataset.backbone if config.on_features else None,
        reading={name: getattr(dataset, name) for name in how},
        trained_on=digests(dataset.content[fit]),
        config={"data": dataset.name, **to_mapping(config)},
    )


def _runs(config: TrainingConfig) -> int:
    """Say how many trainings there are: two of what has one optimum would be the same."""
    return 1 if is_convex(config.learner) else int(getattr(config, "runs", 1))


def _members(
    dataset: Dataset,
    labeling: Labeling,
    fit: IntArray,
    config: TrainingConfig,
    callbacks: Callbacks,
) -> tuple[tuple[int, int, int], tuple[Member, ...]]:
    """Train every run; return the shape of what they take, and what is kept of each."""
    from taskdiscovery.executors import workbench
    from taskdiscovery.splits.measure import run_seeds
    from taskdiscovery.store.journal import Journal
    from taskdiscovery.training.members import kept

    with workbench(dataset, config, config.learner_of(), fit, Journal(), callbacks) as bench:
        trainings = [
            bench.training(labeling, fit, fit[:1], run_seeds(config, run))
            for run in range(_runs(config))
        ]
        passes = sum(training.passes for training in trainings)
        with callbacks.stage(f"training {config.learner}", passes) as meter:
            found = tuple(kept(training, bench.images, meter) for training in trainings)
        return bench.shape, found
