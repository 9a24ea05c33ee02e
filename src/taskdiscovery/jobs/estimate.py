"""`estimate`: the accuracy of a learner on images that nobody has labelled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taskdiscovery.config import EstimateConfig, is_convex
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.jobs.calibration import answers_of, read_parts
from taskdiscovery.jobs.estimating import LEVEL, estimate_of
from taskdiscovery.jobs.inputs import check_named_run, read_alike, reading_of
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Estimate


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """What the caller hands over, in place of what the config names; None for the config's.

    Attributes:
        target: the labeling: anything that `data.target_of` takes.
        tasks: a run, its path, RUN:TASK, or what `discover` returned.
        on: the unlabelled images: anything that `load` takes.
    """

    target: Any = None
    tasks: Any = None
    on: Any = None


def run(
    data: Any, given: Given, config: EstimateConfig, sink: Sink, callbacks: Callbacks
) -> Estimate:
    """Do the job.

    Args:
        data: anything that `load` takes.
        given: what the caller hands over as objects.
        config: as given; how the images of the run of `tasks` were read is taken over.
        sink: where the job writes.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    tasks = given.tasks if given.tasks is not None else config.tasks or None
    on = given.on if given.on is not None else config.on or None
    _check_given(given, config, tasks, on)
    config = with_parts(read_alike(config, reading_of(tasks)), tasks, data)
    target = config.target if given.target is None else given.target
    parts = read_parts(data, target, tasks, on, config, callbacks)
    from taskdiscovery.estimation.intervals import check_calibration

    check_calibration(parts.labeling.labels_N[parts.held], parts.labeling.classes, LEVEL)
    from taskdiscovery.executors import resolve_training

    runs = 1 if is_convex(config.learner) else config.runs  # two of one optimum are the same
    config = replace(config.filled(), executor="serial", jobs=None, runs=runs)
    outputs = {config.learner: {parts.labeling.k}}
    config = resolve_training(config, parts.here, runs, outputs)
    held = [] if given.target is None else [parts.labeling]
    if parts.tasks is not None and not isinstance(tasks, str | Path | Run):
        held += list(parts.tasks[0])
    with session(sink, parts.here, config, callbacks, held) as job:
        found = estimate_of(parts, answers_of(parts, config, job), config, job)
        if job.run is not None:
            job.run.write_estimate(found)
        job.callbacks.on_result(found)
    return found


def _check_given(given: Given, config: EstimateConfig, tasks: Any, on: Any) -> None:
    """Refuse what cannot be estimated, before anything is read.

    Raises:
        ConfigError: saying what is missing.
        DataError: for tasks that nobody can label other images by.
        RunDirError: for a run that holds no tasks.
    """
    if given.target is None and not config.target:
        raise ConfigError(
            "estimate needs a target",
            where="estimate",
            hint="give --target label, label:A,B, attr:COLUMN or FILE:COLUMN",
        )
    if on is None:
        raise ConfigError(
            "no images are given to estimate the accuracy on",
            where="estimate",
            hint="give --on DATA2; in Python on=…",
        )
    if isinstance(on, str) and on in IN_MEMORY:
        raise ConfigError(
            "these images were held in memory, and cannot be read again",
            where="--on",
            hint="give them again, in Python: resume(run, other=…)",
        )
    if not isinstance(tasks, str | Path | Run | None) and not hasattr(tasks, "encoder"):
        raise DataError(
            f"{type(tasks).__name__} cannot label other images",
            where="tasks",
            hint="give a run of discover, or what discover returned",
        )
    check_named_run(tasks)
