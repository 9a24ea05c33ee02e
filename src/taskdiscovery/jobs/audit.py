"""`audit`: cues that go with labels, whether networks follow them, and what that puts at risk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from taskdiscovery.config import AuditConfig
from taskdiscovery.data import target_of
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError
from taskdiscovery.jobs.inputs import (
    check_named_run,
    choose,
    named_networks,
    read_alike,
    read_data,
    reading_of,
)
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import Job, session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Audit, Dataset, Document, Labeling

_OF_RAY: Document = {"ray_address": "", "cpus_per_job": None, "gpus_per_job": None}
#: makes the page of an audit: of what was found, the labelings, the images, and the run's path.
Draw = Callable[[Audit, Sequence[Labeling], Dataset, Path], str]


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """What the caller hands over, in place of what the config names; None for the config's.

    Attributes:
        target: the labelings to audit: anything that `inputs.choose` takes.
        tasks: a run, its path, or what `discover` returned.
        other: a second data set: anything that `load` takes.
    """

    target: Any = None
    tasks: Any = None
    other: Any = None


def run(
    data: Any,
    given: Given,
    config: AuditConfig,
    sink: Sink,
    callbacks: Callbacks,
    draw: Draw | None = None,
) -> Audit:
    """Do the job.

    Args:
        data: anything that `load` takes.
        given: what the caller hands over as objects.
        config: as given; how the images of the run of `tasks` were read is taken over.
        sink: where the job writes.
        callbacks: told of progress.
        draw: makes the page that is kept in the run; without it none is.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    tasks = given.tasks if given.tasks is not None else config.tasks or None
    other = given.other if given.other is not None else config.other or None
    _check_given(given, config, tasks, other)
    config = with_parts(read_alike(config, reading_of(tasks)), tasks, data)
    dataset = read_data(data, config, callbacks)
    from taskdiscovery.auditing.auditing import check_images

    check_images(dataset)
    labelings = _labelings(dataset, given.target, config)
    held = [] if given.target is None else list(labelings)
    if tasks is not None and not isinstance(tasks, str | Path | Run):
        held += choose(dataset, tasks, named_networks(config.learner, config.objects)).labelings
    from taskdiscovery.executors import resolve_training

    outputs = {config.learner: {2, *(labeling.k for labeling in labelings)}}
    config = resolve_training(config, dataset, config.runs * len(labelings), outputs)
    with session(sink, dataset, config, callbacks, held) as job:
        found = _found(dataset, labelings, config, job, Given(tasks=tasks, other=other))
        if job.run is not None:
            job.run.write_audit(found, labelings)
            if draw is not None:
                job.run.write_audit_page(draw(found, labelings, dataset, job.run.path))
        job.callbacks.on_result(found)
    return found


def _check_given(given: Given, config: AuditConfig, tasks: Any, other: Any) -> None:
    """Refuse what cannot be audited, before anything is read.

    Raises:
        ConfigError: saying what is missing.
        RunDirError: for a run that holds no tasks.
    """
    if given.target is None and not config.target:
        raise ConfigError(
            "audit needs a target",
            where="audit",
            hint="give --target label, label:A,B, attr:COLUMN or FILE:COLUMN",
        )
    if other is not None and tasks is None:
        raise ConfigError(
            "a second data set is compared by the tasks of a run, and none is given",
            where="--other",
            hint="add --from RUN, a run of discover; in Python tasks=…",
        )
    if config.allow:
        from taskdiscovery.auditing.auditing import check_allowed

        check_allowed(config.allow)
    if isinstance(other, str) and other in IN_MEMORY:
        raise ConfigError(
            "the second data set was held in memory, and cannot be read again",
            where="--other",
            hint="give it again, in Python: resume(run, other=…)",
        )
    check_named_run(tasks)


def _labelings(dataset: Dataset, target: Any, config: AuditConfig) -> list[Labeling]:
    """Return what is audited, under distinct names.

    Raises:
        ConfigError, DataError: where a labeling cannot be had, or has classes of too few images.
    """
    if target is None:
        found = [target_of(dataset, spec) for spec in dict.fromkeys(config.target)]
        # Two files may have columns of one name.
        names = [labeling.name for labeling in found]
        if len(set(names)) < len(names):
            pairs = zip(found, dict.fromkeys(config.target), strict=True)
            found = [replace(labeling, name=spec) for labeling, spec in pairs]
    else:
        found = choose(dataset, target, config.objects).labelings
    return [check_classes(labeling) for labeling in found]


def _found(
    dataset: Dataset, labelings: list[Labeling], config: AuditConfig, job: Job, given: Given
) -> Audit:
    """Look for cues, then for what the rest of the house says of the same labels."""
    from taskdiscovery.auditing.auditing import audit

    # Networks that are asked with views exchanged are kept, and so trained in this process, with
    # the threads of one training whoever does the others: any executor gives the same figures.
    here = replace(config, executor="serial", jobs=None, **_OF_RAY)
    found = audit(dataset, labelings, here, job.journal, job.callbacks)
    more: Document = {}
    if config.features:
        from taskdiscovery.auditing.semantic import groups_within

        more["semantic"] = groups_within(dataset, labelings, config, job.journal, job.callbacks)
    if given.tasks is not None:
        from taskdiscovery.jobs import audithouse

        more["tasks"] = audithouse.tasks_present(
            dataset, labelings, given.tasks, config, job.journal, job.callbacks
        )
        if given.other is not None:
            more["comparison"] = audithouse.compared(
                given.tasks, given.other, dataset, config, job.callbacks
            )
    seconds = round(job.journal.seconds, 1)
    return replace(found, **more, seconds=seconds, config=job.document)
