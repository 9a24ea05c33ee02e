"""`resume`: go on with the job of a run that was stopped; what is finished is not done again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery import errors
from taskdiscovery.config import (
    AuditConfig,
    EstimateConfig,
    ScoreConfig,
    SplitConfig,
    StressConfig,
    WorkConfig,
    from_mapping,
)
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.errors import RunDirError, TaskDiscoveryError, first_line
from taskdiscovery.jobs import audit, discover, estimate, score, split, stress
from taskdiscovery.jobs.sink import Sink, at_work
from taskdiscovery.jobs.specs import OWN
from taskdiscovery.jobs.trust import Allowed, check_job, data_of
from taskdiscovery.runtime import devices, ranks
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.hardware import cpu_cores
from taskdiscovery.store import Run
from taskdiscovery.types import Audit, Document, Estimate, Evidence, Scores, Split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.splits.benchmark import Stressed


def run(
    path: Path,
    data: Any,
    given: Mapping[str, Any],
    *,
    allowed: Allowed,
    change_ranks: bool,
    callbacks: Callbacks,
) -> Discovery | Scores | Split | Evidence | Audit | Estimate | Stressed | None:
    """Do what is left of the job.

    Args:
        path: of the run directory, or of a benchmark whose baselines are not finished.
        data: where it is no longer where it was, or was no specification; else None.
        given: `tasks`, `target` and `other`, where those were objects; `draw` makes the page of an
            audit.
        allowed: what the caller has named again of what the run's files name.
        change_ranks: whether another number of ranks than before may go on; sums are then rounded
            otherwise, and `result.json` says `exact: false`.
        callbacks: told of progress.

    Returns:
        What the job returns; of one that is done already, what the run directory holds.

    Raises:
        RunDirError: where options or data have changed, no checkpoint is whole, another process is
            at work, or the files of the run name what the caller has not.
    """
    with Run.open(at_work(path), write=ranks.first()) as opened:
        if opened.state == "done":
            opened.objects = dict(allowed.networks)
            return _value(opened)
        job = opened.job
        command, where = str(job["command"]), f"{opened.path}, {job['command']}"
        if command not in _CONFIGS:
            raise RunDirError(
                f"{command} is not resumed",
                where=where,
                hint=f"do it again: {errors.command(command, opened.path)}; or drop it: "
                f"{errors.command('discard', opened.path)}",
            )
        document = dict(job["config"])
        if data is None:
            data = data_of(opened, document)
        config = _config(opened, document, allowed, where)
        _check_ranks(opened, config.ranks or 1, where, change_ranks)
        _check_objects(opened, document, given, where)
        config = replace(config, ranks=ranks.size(), objects=allowed.networks_of(config))
        if not opened.is_ours(document):
            config = _within_means(config, where)
        if config.executor == "processes" and devices.is_cuda(config.device):
            config = replace(config, executor="auto")  # there may be fewer cards than before
        sink = Sink.of(command, None, opened)
        with _explained(opened):
            return _go_on(data, given, config, sink, callbacks)


def _go_on(
    data: Any, given: Mapping[str, Any], config: WorkConfig, sink: Sink, callbacks: Callbacks
) -> Discovery | Scores | Split | Audit | Estimate | Stressed:
    """Do the job that a config is of."""
    tasks, target = given.get("tasks"), given.get("target")
    if isinstance(config, DiscoverConfig):
        return discover.run(data, config, sink, callbacks)
    if isinstance(config, ScoreConfig):
        return score.run(data, tasks, config, sink, callbacks)
    if isinstance(config, AuditConfig):
        own = audit.Given(target=target, tasks=tasks, other=given.get("other"))
        return audit.run(data, own, config, sink, callbacks, given.get("draw"))
    if isinstance(config, EstimateConfig):
        asked = estimate.Given(target=target, tasks=tasks, on=given.get("other"))
        return estimate.run(data, asked, config, sink, callbacks)
    if isinstance(config, StressConfig):
        assert sink.resumed is not None
        return stress.run(data, target, tasks, config, sink.resumed, callbacks)
    assert isinstance(config, SplitConfig)
    return split.run(data, target, tasks, config, sink, callbacks)


@contextlib.contextmanager
def _explained(run: Run) -> Iterator[None]:
    """Say that a checkpoint may be the cause, where going on fails in a way that has no words.

    Raises:
        RunDirError: for what is no error of this package.
    """
    try:
        yield
    except (TaskDiscoveryError, OSError, MemoryError):
        raise
    except Exception as error:  # a hostile checkpoint leads to errors of every kind
        if "out of memory" in str(error).lower():
            raise
        raise RunDirError(
            f"going on failed: {type(error).__name__}: {first_line(error)}",
            where=str(run.path),
            hint="if the run is your own, please report it, with the output of --debug",
        ) from error


def _within_means(config: WorkConfig, where: str) -> WorkConfig:
    """Have a job from elsewhere take what this machine would give one of its own.

    Raises:
        RunDirError: where it asks for more threads than that, which its numbers depend on.
    """
    cores = cpu_cores()
    if (config.threads or 1) > 2 * cores:
        raise RunDirError(
            f"the job was done with {config.threads} threads, and here are {cores} cores",
            where=where,
            hint="do it again with another --out, where you trust what it does",
        )
    if config.executor == "processes":
        config = replace(config, executor="auto", jobs=None)
    return config


_CONFIGS: dict[str, type[WorkConfig]] = {
    "discover": DiscoverConfig,
    "score": ScoreConfig,
    "split": SplitConfig,
    "audit": AuditConfig,
    "estimate": EstimateConfig,
    "stress": StressConfig,
}


def _config(run: Run, document: Document, allowed: Allowed, where: str) -> WorkConfig:
    """Return the config of the job, once it names nothing that may not be used.

    Raises:
        RunDirError: where it does.
        ConfigError: where the files of the run hold no such config.
    """
    own = {key: value for key, value in document.items() if key != "data"}
    kind = _CONFIGS[str(run.job["command"])]
    check_job(run, from_mapping(kind, own, where), document, allowed)
    if str(own.get("from", "")).startswith(OWN):  # this run's, wherever it lies now
        own["from"] = f"{run.path}{own['from']}".removesuffix(OWN)
    return from_mapping(kind, own, where)


def _value(run: Run) -> Discovery | Scores | Split | Evidence | Audit | Estimate | Stressed | None:
    """Return what a finished job left in its run."""
    command = str(run.job["command"])
    if command == "discover":
        return run.discovery
    if command == "score":
        return run.scores
    if command == "audit":
        return run.audit
    if command == "estimate":
        return run.estimate
    if command == "stress":  # the table is written: the run has nothing that is not in it
        run.remove_whole()
        return None
    return run.split if command == "split" else run.evidence


def _check_objects(run: Run, document: Document, given: Mapping[str, Any], where: str) -> None:
    """Refuse to go on without the labelings that the job was given as objects.

    Raises:
        RunDirError: naming what is to be given again.
    """
    named = {"tasks": bool(document.get("from")), "target": bool(document.get("target"))}
    lacking = [name for name in named if not named[name] and given.get(name) is None]
    if run.job["command"] == "score" and "tasks" in lacking and "target" in lacking:
        lacking = ["tasks"]
    elif run.job["command"] in ("audit", "estimate") and "target" in lacking:
        lacking = ["target"]  # tasks need not be given
    elif run.job["command"] not in ("split", "stress") or not lacking:
        return
    raise RunDirError(
        f"the job was given its {' and '.join(lacking)} as objects",
        where=where,
        hint=f"resume(run, {', '.join(f'{name}=…' for name in lacking)}) in Python, with the same",
    )


def _check_ranks(run: Run, before: int, where: str, change: bool) -> None:
    """Refuse to go on with another number of ranks, unless that is asked for.

    Raises:
        RunDirError: naming both numbers.
    """
    now = ranks.size()
    if before != now and not change:
        raise RunDirError(
            f"the job was started by {before} ranks, and there are {now}",
            where=where,
            hint=f"torchrun --nproc-per-node {before} -m {errors.command('resume', run.path)}; "
            "or add --change-ranks: sums are then rounded otherwise, and the result is marked",
        )
    if before != now and ranks.first():
        run.add_numbers({"exact": False, "ranks": [before, now]})
