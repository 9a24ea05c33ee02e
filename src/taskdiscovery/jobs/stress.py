"""`stress`: a benchmark of anyone's data, in which a task goes with the target more and more."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.config import StressConfig
from taskdiscovery.data import target_of
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError, printable
from taskdiscovery.jobs.inputs import (
    choose,
    is_untrained,
    named_networks,
    read_alike,
    read_data,
    reading_of,
)
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.runtime import ranks
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.splits.benchmark import (
    Baseline,
    Benchmark,
    Sizes,
    Stressed,
    add_baselines,
    check_same,
    compose,
    lacks_baselines,
    write,
)
from taskdiscovery.store import check_new
from taskdiscovery.types import Dataset, Labeling

_LOG = logging.getLogger("taskdiscovery")


def run(
    data: Any,
    target: Any,
    tasks: Any,
    config: StressConfig,
    out: Path | None,
    callbacks: Callbacks,
) -> Stressed:
    """Do the job. A benchmark is whole before baselines are trained, which may take long.

    Args:
        data: anything that `load` takes.
        target: the labeling to learn, as `data.target_of` takes it; None for the config's.
        tasks: what goes with it, as `inputs.choose` takes it; None for the config's.
        config: as given.
        out: a new folder to write, or None; for baselines also one with this very benchmark.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    target = config.target if target is None else target
    tasks = config.tasks if tasks is None else tasks
    _check_given(target, tasks)
    added = out is not None and check_place(out, config)
    config = with_parts(read_alike(config, reading_of(tasks)), tasks, data)
    dataset = read_data(data, config, callbacks)
    wanted = check_classes(target_of(dataset, target))
    found = compose(
        dataset,
        wanted,
        _task(dataset, tasks, config),
        strengths=config.strengths,
        sizes=Sizes(train=config.train_images, validation=config.validation),
        seed=config.seed,
    )
    if out is not None and added:
        check_same(out, found)
    elif out is not None:
        _write(out, found, callbacks)
    if not config.tried:
        return Stressed(benchmark=found)
    baselines, how = _baselines(found, config, callbacks)
    if out is not None:
        add_baselines(out, baselines, how)
    return Stressed(benchmark=found, baselines=baselines)


def check_place(out: Path, config: StressConfig) -> bool:
    """Say whether baselines are added to a benchmark that is there; else the place must be new.

    Raises:
        ConfigError: in one of several processes, which would all write there.
        RunDirError: where it is taken.
    """
    if ranks.size() > 1:
        raise ConfigError(
            "stress is for one process", where="torchrun", hint="start it without torchrun"
        )
    if config.tried and lacks_baselines(out):
        return True
    check_new(out)
    return False


def _write(out: Path, found: Benchmark, callbacks: Callbacks) -> None:
    parts = [own for s in found.strengths for own in (found.train[s], found.validation[s])]
    images = sum(map(len, [*parts, *found.tests.values()]))
    with callbacks.stage("writing the benchmark", images) as meter:
        write(out, found, meter)


def _check_given(target: Any, tasks: Any) -> None:
    """Raise ConfigError where nothing is said of target or task, or what has no use here."""
    if any(isinstance(given, str) and not given for given in (target, tasks)):
        raise ConfigError(
            "stress needs a target and a task",
            where="stress",
            hint="give --target SPEC and --from RUN[:TASK]|FILE:COLUMN|attr:COLUMN",
        )
    if is_untrained(tasks):
        raise ConfigError(
            "the task of an untrained network is not written as a benchmark",
            where=f"--from {tasks}",
            hint="give a task of a run: --from RUN[:TASK]",
        )


def _task(dataset: Dataset, tasks: Any, config: StressConfig) -> Labeling:
    """Return the task that is named; of several the first, and say which."""
    chosen = choose(dataset, tasks, named_networks(config.learner, config.objects)).labelings
    if len(chosen) > 1:
        _LOG.warning(
            "%d tasks are given: the first, %s, is taken (name another: RUN:TASK)",
            len(chosen),
            chosen[0].name,
        )
    return chosen[0]


def _baselines(
    found: Benchmark, config: StressConfig, callbacks: Callbacks
) -> tuple[tuple[Baseline, ...], str]:
    """Train the baselines; return their rows, and what is said of how they were trained."""
    from taskdiscovery.executors import resolve_training, workbench
    from taskdiscovery.splits.benchmark.baselines import trained
    from taskdiscovery.store.journal import Journal
    from taskdiscovery.training import warn_if_brief

    most = config.test_images  # of the caller: the preset's are for data that is not chosen
    config = replace(config.filled(), executor="serial", jobs=None)
    outputs = {config.learner: {found.target.k}}
    trainings = config.runs * len(config.tried) * len(found.strengths)
    config = resolve_training(config, found.dataset, trainings, outputs)
    config = replace(config, test_images=most)
    rows = found.train[found.strengths[-1]]
    learner = config.learner_of()
    warn_if_brief(learner, len(rows), config.preset)
    with workbench(found.dataset, config, learner, np.sort(rows), Journal(), callbacks) as bench:
        return trained(bench, found, config), _how(config)


def _how(config: StressConfig) -> str:
    """Say how baselines were trained, in the card."""
    recipe = config.learner_of().recipe
    chosen = (
        "Settings of group-dro and jtt were chosen by the worst group of the validation images, "
        "never of the tests."
        if config.tune
        else "Settings of the learners are published defaults, not chosen for this data."
    )
    return (
        f"Learner `{printable(config.learner)}`, {config.runs} runs from fresh seeds, "
        f"{recipe.epochs} epochs, "
        f"batches of {recipe.batch}, {recipe.optimizer} at {recipe.learning_rate:g} "
        f"({recipe.schedule}), weight decay {recipe.weight_decay:g}, on {config.device} in "
        f"{config.precision}, seed {config.seed}. Groups are those of the training images; "
        f"last-layer is fitted to the validation images. {chosen}"
    )
