"""`split`: a train-test split that breaks a learner, beside its controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import SplitConfig
from taskdiscovery.data import partition, target_of
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError
from taskdiscovery.jobs.inputs import (
    Chosen,
    check_binary,
    choose,
    is_untrained,
    named_networks,
    read_alike,
    read_data,
    reading_of,
)
from taskdiscovery.jobs.naming import check_free_name, named
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.jobs.specs import UNTRAINED, split_run_task
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Labeling, Split

if TYPE_CHECKING:
    from taskdiscovery.training import Workbench


def run(
    data: Any,
    target: Any,
    tasks: Any,
    config: SplitConfig,
    sink: Sink,
    callbacks: Callbacks,
) -> Split:
    """Do the job.

    Args:
        data: anything that `load` takes.
        target: the labeling to break, as `data.target_of` takes it; None for the config's.
        tasks: what may cut it, as `inputs.choose` takes it, or `untrained:NETWORK`; None for the
            config's.
        config: as given.
        sink: where the job writes.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    target = config.target if target is None else target
    tasks = config.tasks if tasks is None else tasks
    _check_given(target, tasks)
    check_free_name(config, sink)
    config = with_parts(read_alike(config, reading_of(tasks)), tasks, data)
    dataset = read_data(data, config, callbacks)
    wanted = check_classes(target_of(dataset, target))
    config = named(config, sink, wanted.name)
    from taskdiscovery.analysis.sides import describe
    from taskdiscovery.executors import resolve_training, workbench
    from taskdiscovery.splits import splitting

    outputs = splitting.outputs(config, wanted.k)
    if is_untrained(tasks):
        outputs.setdefault(tasks.removeprefix(UNTRAINED), set()).add(1)
    config = resolve_training(config, dataset, splitting.trainings(config), outputs)
    chosen: Chosen | None = None
    if not is_untrained(tasks):
        chosen = choose(dataset, tasks, named_networks(config.learner, config.objects))
        check_binary(chosen, "--from" if isinstance(tasks, str) else "tasks")
    verdicts = verdicts_of(tasks)
    seen_N = None if chosen is None else chosen.seen_N
    seen_N = partition.of(dataset, config.seed) if seen_N is None else seen_N
    held: list[Labeling] = [] if isinstance(target, str) else [wanted]
    held += [] if chosen is None or isinstance(tasks, str) else chosen.labelings
    rows = np.flatnonzero(seen_N)
    with session(sink, dataset, config, callbacks, held) as job:
        learner = config.learner_of()
        with workbench(dataset, config, learner, rows, job.journal, job.callbacks) as bench:
            cuts = chosen.labelings if chosen else [_untrained(bench, tasks, config, seen_N)]
            found = splitting.split(bench, wanted, cuts, config, seen_N)
        setup = replace(found.setup, about=verdicts.get(found.task.name, ""))
        found = replace(found, setup=setup, sides=describe(found, dataset, config.seed))
        if job.run is not None:
            job.run.write_split(found, name=config.name, options=job.options)
        job.callbacks.on_result(found)
    return found


def _check_given(target: Any, tasks: Any) -> None:
    """Raise ConfigError where nothing is said of the target or of the tasks."""
    if any(isinstance(given, str) and not given for given in (target, tasks)):
        raise ConfigError(
            "split needs a target and a task",
            where="split",
            hint="give --target SPEC and --from RUN[:TASK]|FILE:COLUMN|untrained:NETWORK",
        )


def verdicts_of(tasks: Any) -> Mapping[str, str]:
    """Return what the evidence of a run says of its tasks; nothing where there is no run or none.

    Raises:
        RunDirError: where a file is damaged.
    """
    run = tasks if isinstance(tasks, Run) else None
    if isinstance(tasks, str | Path) and not is_untrained(tasks):
        path, _ = split_run_task(str(tasks))
        run = None if path is None else Run.open(path)
    evidence = None if run is None else run.evidence
    return {} if evidence is None else evidence.verdicts


def _untrained(bench: Workbench, tasks: str, config: SplitConfig, seen_N: Any) -> Labeling:
    from taskdiscovery.splits.controls import untrained_task

    network = tasks.removeprefix(UNTRAINED)
    own = replace(bench, learner=config.learner_of(network))
    return untrained_task(own, network, config.seed, seen_N)
