"""`compare`: the tasks of a run on another data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import CompareConfig, Network
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.jobs.analyze import run_of
from taskdiscovery.jobs.inputs import (
    labelled_by,
    read_alike,
    read_data,
    reading_of,
    seen_before,
    tasks_of_discovery,
    tasks_of_run,
)
from taskdiscovery.jobs.looking import features_of
from taskdiscovery.jobs.trust import data_of
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import BoolArray, Comparison, Dataset, Labeling

if TYPE_CHECKING:
    from taskdiscovery.analysis.comparing import Side


def run(
    found: Any,
    other: Any,
    data: Any,
    config: CompareConfig,
    callbacks: Callbacks,
    *,
    networks: Mapping[str, Network],
) -> Comparison:
    """Do the job.

    Args:
        found: a run or its path, or what discover returned.
        other: anything that `load` takes: the images that are compared with those of the run.
        data: those of the run; None where it says which.
        config: as given; how the run's own images were read is taken over.
        callbacks: told of progress.
        networks: that the caller has named, by name.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    opened = run_of(found)
    found = opened or found
    config = read_alike(config, reading_of(found))
    if opened is not None:
        own = config.features or features_of(opened, data)
        data = data_of(opened, opened.config) if data is None else data
    else:
        own = config.features or features_of(found, data)
        if data is None:
            raise ConfigError(
                "the data of the discovery is needed, too",
                where="compare",
                hint="give it: compare(found, other, data=…)",
            )
    dataset = read_data(data, replace(config, features=own), callbacks)
    elsewhere = read_data(other, replace(config, features=config.other_features), callbacks)
    from taskdiscovery.analysis import comparing

    if opened is not None:
        tasks = tasks_of_run(opened, dataset, networks)
    else:
        tasks = tasks_of_discovery(found, dataset)
    there = labelled_by(found, elsewhere, networks, "cpu")
    known = seen_before(found, elsewhere, networks)
    unseen = ~tasks.seen_N if tasks.seen_N is not None else np.ones(len(dataset), np.bool_)
    sides = (
        comparing.Side(dataset=dataset, tasks=tasks, rows=np.flatnonzero(unseen)),
        comparing.Side(dataset=elsewhere, tasks=there, rows=np.flatnonzero(~known)),
    )
    if min(len(side.rows) for side in sides) < comparing.LEAST:
        raise DataError(
            f"{len(sides[0].rows)} images here and {len(sides[1].rows)} there that discovery has "
            "not seen are too few to compare",
            where=elsewhere.name,
            hint="give other images than those of the run",
        )
    with callbacks.stage("comparing", 1) as meter:
        table = comparing.rates(*sides)
        meter.advance()
    classes, by = comparing.classes_of(*sides, table)
    at_risk = tuple(classes.loc[classes["at_risk"], "class"]) if len(classes) else ()
    if config.accuracy:
        classes = comparing.with_accuracy(
            classes, *sides, _right(config, dataset, elsewhere, sides, unseen, callbacks)
        )
    return Comparison(
        classes_at_risk=at_risk,
        classes=classes,
        rates=table,
        by=by,
        images_here=len(sides[0].rows),
        images_there=len(sides[1].rows),
        seen_there=int(known.sum()),
        learner=config.learner if config.accuracy else "",
    )


def _right(
    config: CompareConfig,
    here: Dataset,
    there: Dataset,
    sides: tuple[Side, Side],
    unseen_N: BoolArray,
    callbacks: Callbacks,
) -> list[Any]:
    """Train on the run's images that discovery may have seen; say who is predicted rightly.

    Returns:
        (runs, n) here and there.
    """
    if here.labels is None or there.labels is None:
        raise ConfigError(
            "an accuracy needs labels here and there", where="--accuracy", hint="leave it out"
        )
    if here.content.shape[1:] != there.content.shape[1:]:
        raise DataError(
            f"images here are {here.content.shape[1:]}, there {there.content.shape[1:]}",
            where=there.name,
            hint="read both with --size",
        )
    from taskdiscovery.executors import resolve_training, workbench
    from taskdiscovery.runtime.seeds import derive
    from taskdiscovery.store.journal import Journal
    from taskdiscovery.training import Request, Seeds, predicted

    both = _joined(here, there)
    labeling = check_classes(both.target("label"))
    assert isinstance(labeling, Labeling)
    fit = np.flatnonzero(~unseen_N & (here.labels >= 0))
    measured = [sides[0].rows, len(here) + sides[1].rows]
    config = resolve_training(config, both, config.runs, {config.learner: {labeling.k}})
    fit = fit if config.train_images is None else fit[: config.train_images]
    with workbench(both, config, config.learner_of(), fit, Journal(), callbacks) as bench:
        requests = [
            Request(
                key=f"compare/run {run}",
                training=bench.training(
                    labeling,
                    fit,
                    np.concatenate(measured),
                    Seeds(derive(config.seed, "init", run), derive(config.seed, "order", run)),
                ),
                keep=predicted,
            )
            for run in range(config.runs)
        ]
        passes = sum(request.training.passes for request in requests)
        with callbacks.stage(f"training {config.learner}", passes) as meter:
            bench.executor.submit(requests, meter)
            classes_Kn = np.stack(
                [bench.executor.result(one, meter).arrays["predicted"] for one in requests]
            )
    right_Kn = classes_Kn == labeling.labels_N[np.concatenate(measured)]
    return np.split(right_Kn, [len(measured[0])], axis=1)


def _joined(here: Dataset, there: Dataset) -> Dataset:
    """Put two data sets after each other, under the classes of the first."""
    assert here.labels is not None
    assert there.labels is not None
    places = {name: c for c, name in enumerate(here.classes)}
    number = np.array([places.get(name, -1) for name in there.classes] + [-1], dtype=np.int64)
    features = None
    if here.features is not None and there.features is not None:
        features = np.concatenate([here.features, there.features])
    return Dataset(
        images=np.concatenate([here.images, there.images]),
        ids=np.array([f"{i}" for i in range(len(here) + len(there))], dtype=np.str_),
        labels=np.concatenate([here.labels, number[there.labels]]),
        classes=here.classes,
        features=features,
        name=f"{here.name} and {there.name}",
        fingerprint=f"{here.fingerprint} {there.fingerprint}",
    )
