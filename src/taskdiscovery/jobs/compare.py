"""`compare`: the tasks of a run on another data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import OF_DATA, CompareConfig, DataConfig, Network
from taskdiscovery.data.grouping import ATTRIBUTE, grouped
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError, DataError, RunDirError
from taskdiscovery.features import is_alone, is_backbone
from taskdiscovery.jobs import fit as fit_job
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
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.trust import data_of
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.store.layout import is_taken
from taskdiscovery.types import BoolArray, Comparison, Dataset

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
    _check_name(found, config.name)
    sides = _sides(found, other, data, config, callbacks, networks)
    from taskdiscovery.analysis import comparing

    here, there = sides
    if min(len(side.rows) for side in sides) < comparing.LEAST:
        raise DataError(
            f"{len(here.rows)} images here and {len(there.rows)} there that discovery has not seen "
            "are too few to compare",
            where=there.dataset.name,
            hint="give other images than those of the run",
        )
    with callbacks.stage("comparing", 1) as meter:
        table = comparing.rates(here, there)
        meter.advance()
    classes, by = comparing.classes_of(here, there, table)
    at_risk = tuple(classes.loc[classes["at_risk"], "class"]) if len(classes) else ()
    if config.accuracy:
        classes = comparing.with_accuracy(classes, here, there, _right(config, sides, callbacks))
    compared = Comparison(
        classes_at_risk=at_risk,
        classes=classes,
        rates=table,
        by=by,
        images_here=len(here.rows),
        images_there=len(there.rows),
        seen_there=len(there.dataset) - len(there.rows),
        learner=config.learner if config.accuracy else "",
    )
    if config.name and (opened := run_of(found)) is not None:
        with Run.open(opened.path, write=True) as run:
            _check_name(run, config.name)
            run.write_comparison({"data": there.dataset.name, **compared.numbers}, name=config.name)
    return compared


def _check_name(found: Any, name: str) -> None:
    """Refuse a name where there is no run to keep the result in, or that is taken there.

    Raises:
        ConfigError, RunDirError: saying which.
    """
    if not name:
        return
    run = run_of(found)
    if run is None:
        raise ConfigError(
            "a comparison is kept in the run of its tasks, and none is given",
            where="name",
            hint="leave the name out, or give the run",
        )
    if is_taken(name, run.comparisons):
        raise RunDirError(
            f"the run has a comparison named {name!r} already",
            where=str(run.path),
            hint="give this one another --name; nothing in a run is replaced",
        )


def _sides(
    found: Any,
    other: Any,
    data: Any,
    config: CompareConfig,
    callbacks: Callbacks,
    networks: Mapping[str, Network],
) -> tuple[Side, Side]:
    """Read both data sets with their tasks, and leave out what discovery has seen."""
    opened = run_of(found)
    found = opened or found
    config = with_parts(read_alike(config, reading_of(found)), found, None)
    own = config.features or features_of(found, data)
    if data is None and opened is None:
        raise ConfigError(
            "the data of the discovery is needed, too",
            where="compare",
            hint="give it: compare(found, other, data=…)",
        )
    if data is None:
        assert opened is not None
        data = data_of(opened, opened.config)
    here = read_data(data, replace(config, features=own), callbacks)
    theirs = config.other_features
    if not theirs and own:  # the same network looks at them; a table knows its own rows
        theirs = own if is_backbone(own) else OF_DATA if is_alone(other) else ""
    there = _elsewhere(other, _reading(config, theirs), callbacks)
    from taskdiscovery.analysis.comparing import Side

    tasks = (
        tasks_of_discovery(found, here) if opened is None else tasks_of_run(opened, here, networks)
    )
    seen_N = np.zeros(len(here), np.bool_) if tasks.seen_N is None else tasks.seen_N
    known_N = seen_before(found, there, networks)
    return (
        Side(dataset=here, tasks=tasks, rows=np.flatnonzero(~seen_N)),
        Side(
            dataset=there,
            tasks=labelled_by(found, there, networks, "cpu"),
            rows=np.flatnonzero(~known_N),
        ),
    )


def _reading(config: CompareConfig, features: str) -> DataConfig:
    """Return how one of the two is read, with features of its own."""
    how = {item.name: getattr(config, item.name) for item in fields(DataConfig)}
    return DataConfig(**{**how, "features": features})


def _elsewhere(other: Any, how: DataConfig, callbacks: Callbacks) -> Dataset:
    """Read the other images; they have groups where they have the column."""
    found = read_data(other, replace(how, groups=""), callbacks)
    columns = [] if found.attributes is None else list(map(str, found.attributes.columns))
    known = how.groups.removeprefix(ATTRIBUTE) in (*columns, "label")
    return grouped(found, how.groups) if how.groups and known else found


def _right(
    config: CompareConfig, sides: tuple[Side, Side], callbacks: Callbacks
) -> list[BoolArray]:
    """Train on the run's images that discovery may have seen; say who is predicted rightly.

    Returns:
        (runs, n) here and there.

    Raises:
        ConfigError, DataError: where the learner cannot look at both, or labels lack.
    """
    here, there = (side.dataset for side in sides)
    _check_both(config, here, there)
    labeling = check_classes(here.target("label"))
    fit = np.setdiff1d(np.arange(len(here)), sides[0].rows)
    fitted = fit_job.train(here, labeling, fit, config, callbacks)
    right = []
    for side in sides:
        own = fitted.labeling(side.dataset.target("label"))
        shares_KnC = fitted.probabilities(side.dataset, side.rows)
        right.append(shares_KnC.argmax(axis=2) == own.labels_N[side.rows])
    return right


def _check_both(config: CompareConfig, here: Dataset, there: Dataset) -> None:
    """Refuse what a learner cannot be trained on here and asked there.

    Raises:
        ConfigError, DataError: saying why.
    """
    if here.labels is None or there.labels is None:
        raise ConfigError(
            "an accuracy needs labels here and there", where="--accuracy", hint="leave it out"
        )
    if config.on_features and (here.features is None or there.features is None):
        raise ConfigError(
            f"the learner {config.learner} looks at features, and the other images have none",
            where="--accuracy",
            hint="add --other-features, or take --learner convnet",
        )
    if here.images.shape[1:] != there.images.shape[1:]:
        raise DataError(
            f"images here are {here.image_shape}, there {there.image_shape}",
            where=there.name,
            hint="read both with --size",
        )
