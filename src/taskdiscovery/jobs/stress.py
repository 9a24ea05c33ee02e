"""`stress`: a benchmark of anyone's data, in which a task goes with the target more and more."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.config import StressConfig
from taskdiscovery.data import target_of
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError, RunDirError, printable
from taskdiscovery.jobs.inputs import (
    choose,
    is_untrained,
    named_networks,
    read_alike,
    read_data,
    reading_of,
)
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import session
from taskdiscovery.jobs.sink import Sink, is_run
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
from taskdiscovery.splits.benchmark import check_place as check_new_place
from taskdiscovery.store import Run
from taskdiscovery.store.layout import WORK
from taskdiscovery.types import Dataset, Labeling

_LOG = logging.getLogger("taskdiscovery")


def run(
    data: Any,
    target: Any,
    tasks: Any,
    config: StressConfig,
    out: Path | Run | None,
    callbacks: Callbacks,
) -> Stressed:
    """Do the job. A benchmark is whole before baselines are trained, which may take long: these
    have a run in its folder until they are done, and go on where that is there.

    Args:
        data: anything that `load` takes.
        target: the labeling to learn, as `data.target_of` takes it; None for the config's.
        tasks: what goes with it, as `inputs.choose` takes it; None for the config's.
        config: as given.
        out: a new folder to write, or None; for baselines also one with this very benchmark; the
            run of its baselines, open, to go on with it.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    target = config.target if target is None else target
    tasks = config.tasks if tasks is None else tasks
    _check_given(target, tasks)
    folder = out.path.parent if isinstance(out, Run) else out
    added = isinstance(out, Run) or (folder is not None and check_place(folder, config))
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
    _warn_of_copies(found)
    if folder is not None and added:
        check_same(folder, found)
    elif folder is not None:
        _write(folder, found, callbacks)
    if not config.tried:
        return Stressed(benchmark=found)
    with _sink(out) as sink:
        baselines = _baselines(found, config, sink, callbacks)
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
    work = out / WORK
    if work.is_symlink():  # in a folder from elsewhere it may lead anywhere
        raise RunDirError("this is a link", where=str(work), hint="remove it")
    if is_run(work):
        with Run.open(work, write=True) as run:  # refused where another process is at work
            if run.state == "done":  # killed before it was removed
                run.remove_whole()
    if config.tried and lacks_baselines(out):
        return True
    check_new_place(out)
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


@contextlib.contextmanager
def _sink(out: Path | Run | None) -> Iterator[Sink]:
    """Say where baselines are remembered while they are trained; what was begun goes on.

    Raises:
        RunDirError: where another process trains them.
    """
    if out is None:
        yield Sink(command="stress")
    elif isinstance(out, Run):
        yield Sink(command="stress", resumed=out)
    elif is_run(work := out / WORK):
        with Run.open(work, write=True) as run:
            yield Sink(command="stress", resumed=run)
    else:
        yield Sink(command="stress", new=work)


def _baselines(
    found: Benchmark, config: StressConfig, sink: Sink, callbacks: Callbacks
) -> tuple[Baseline, ...]:
    """Train the baselines, and add them to the folder of the benchmark where there is one."""
    from taskdiscovery.executors import resolve_training, workbench
    from taskdiscovery.splits.benchmark.baselines import trained
    from taskdiscovery.training import warn_if_brief

    # Numbers of images are the caller's: the preset's are for data that is not chosen.
    given = {name: getattr(config, name) for name in ("train_images", "test_images")}
    config = replace(config.filled(), executor="serial", jobs=None)
    outputs = {config.learner: {found.target.k}}
    trainings = config.runs * len(config.tried) * len(found.strengths)
    config = replace(resolve_training(config, found.dataset, trainings, outputs), **given)
    rows = np.sort(found.train[found.strengths[-1]])
    learner = config.learner_of()
    warn_if_brief(learner, len(rows), config.preset)
    with session(sink, found.dataset, config, callbacks) as job:
        with workbench(found.dataset, config, learner, rows, job.journal, job.callbacks) as bench:
            baselines = trained(bench, found, config)
        if job.run is not None:
            add_baselines(job.run.path.parent, baselines, _how(config))
        job.callbacks.on_result(Stressed(benchmark=found, baselines=baselines))
    if job.run is not None:
        job.run.remove_whole()
    return baselines


def _warn_of_copies(found: Benchmark) -> None:
    tested = sum(map(len, found.tests.values()))
    if found.near:
        _LOG.warning(
            "%d of %d test images have a near copy that is trained or validated on: accuracies may "
            "be too high (name what belongs together: --groups)",
            found.near,
            tested,
        )


def _how(config: StressConfig) -> str:
    """Say how baselines were trained, in the card."""
    recipe = config.learner_of().recipe
    chosen = (
        "Settings of group-dro and jtt were chosen by the worst group of the validation images, "
        "never of the tests."
        if config.tune
        else "Settings of the learners are published ones, not chosen for this data."
    )
    return (
        f"Learner `{printable(config.learner)}`, {config.runs} runs from fresh seeds, "
        f"{recipe.epochs} epochs, "
        f"batches of {recipe.batch}, {recipe.optimizer} at {recipe.learning_rate:g} "
        f"({recipe.schedule}), weight decay {recipe.weight_decay:g}, on {config.device} in "
        f"{config.precision}, seed {config.seed}. Groups are those of the training images; "
        f"last-layer is fitted to the validation images. {chosen}"
    )
