"""A job under way: its run opened, resumed and committed, and why it ended."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from taskdiscovery.config import Options, to_mapping
from taskdiscovery.data.images.contents import hash_images
from taskdiscovery.errors import ConfigError, DataError, RunDirError, TaskDiscoveryError, command
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.jobs.specs import OWN, split_run_task
from taskdiscovery.jobs.trust import words_again
from taskdiscovery.runtime import devices, interrupts
from taskdiscovery.runtime.callbacks import Callbacks, JobInfo
from taskdiscovery.store import Run
from taskdiscovery.store.journal import Journal
from taskdiscovery.store.metrics import MetricsFile
from taskdiscovery.store.run import described
from taskdiscovery.types import Dataset, Document, Labeling

#: options that cannot change a result: they may differ when a job is resumed.
FREE = (
    "data",  # its content is held against the fingerprint
    "checkpoint_every",
    "executor",
    "ray_address",
    "cpus_per_job",
    "gpus_per_job",
    "jobs",  # how many at once; threads of each are kept
    "ranks",  # `resume` has looked at it
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Job:
    """A job under way.

    Attributes:
        run: where it writes, or None.
        journal: what it remembers.
        callbacks: told of its progress, the run's metrics among them.
        document: every option, as it was resolved, and `data`.
        options: those that decide the result, with tasks of the very run named without its path.
    """

    run: Run | None
    journal: Journal
    callbacks: Callbacks
    document: Document
    options: Document


@contextlib.contextmanager
def session(
    sink: Sink,
    dataset: Dataset,
    config: Options,
    callbacks: Callbacks,
    labelings: Sequence[Labeling] = (),
) -> Iterator[Job]:
    """Open the run; when the block ends, commit, and say how the job ended.

    Args:
        sink: where the job writes.
        dataset: the images.
        config: resolved.
        callbacks: of the caller.
        labelings: what was handed over as objects: a job that is resumed needs the same again.
    """
    if sink.command == "score" and sink.added is not None:
        _check_images(Run.open(sink.added), dataset)
    document = {"data": dataset.name, **to_mapping(config)}
    document |= {key: value for key, value in _as_read(dataset).items() if key in document}
    kept = {**document, **_own_tasks(sink, document)}
    run = sink.open(kept)
    with run if run is not None and sink.resumed is None else contextlib.nullcontext():
        told = Callbacks([*callbacks.callbacks, *([MetricsFile(run)] if run is not None else [])])
        journal = Journal(
            None if run is None else run.checkpoints,
            every=float(document.get("checkpoint_every", 60.0)),
            header=_header(sink, dataset, kept, labelings),
            on_checkpoint=told.on_checkpoint,
        )
        info = JobInfo(
            command=sink.command,
            config=document,
            run=None if run is None else run.path,
            known_step=0 if run is None else _last_step(run),
        )
        told.on_job_start(info)
        try:
            if run is not None and sink.resumed is not None:
                journal.load()
                run.resumed()
            journal.mirror()
            options = {k: v for k, v in kept.items() if k == "data" or k not in FREE}
            yield Job(run=run, journal=journal, callbacks=told, document=document, options=options)
            if run is not None:
                if sink.added is None:
                    run.add_numbers({"data": described(dataset)})
                if on := devices.of_job(document):
                    run.add_numbers({"hardware": _also(run, sink.command, on)})
                run.finish(sink.command)
        except BaseException as error:
            if run is not None:
                again = words_again(config, dataset.name, run.is_ours(kept))
                _ended_badly(sink, run, again, error)
            told.on_job_end(info, error)
            raise
        told.on_job_end(info, None)


def _also(run: Run, command: str, on: Document) -> Document:
    """Return what the jobs of a run computed on, by command, this one among them."""
    known = run.numbers.get("hardware")
    return {**(known if isinstance(known, dict) else {}), command: on}


def _check_images(run: Run, dataset: Dataset) -> None:
    """Refuse to add scores of other images: a run has one row an image.

    Raises:
        RunDirError: where they are.
    """
    if not run.is_of(dataset):
        raise RunDirError(
            "the run is of other images",
            where=str(run.path),
            hint="write the scores of these to a directory of their own, with --out",
        )


def _as_read(dataset: Dataset) -> Document:
    """How the images were read: by these options, and on the scale that they turned out to be."""
    scale = None if dataset.range is None else list(dataset.range)
    how: Document = {"size": dataset.size, "fit": dataset.fit, "range": scale}
    return how | {"groups": dataset.grouped_by, "test": dataset.test}


def _own_tasks(sink: Sink, document: Document) -> Document:
    """Name tasks of the very run that the job adds to without its path: it may be moved."""
    path, task = split_run_task(str(document.get("from", "")))
    if sink.added is None or path is None or path.resolve() != sink.added.resolve():
        return {}
    return {"from": f"{OWN}{task}"}


def _header(
    sink: Sink, dataset: Dataset, document: Document, labelings: Sequence[Labeling]
) -> Document:
    """What must be the same for a job to go on."""
    kept = {key: value for key, value in document.items() if key not in FREE}
    header: Document = {"command": sink.command, "config": kept, "data": dataset.fingerprint}
    # Those that stand alone are hashed in the fingerprint.
    if document.get("features") and dataset.features is not None and dataset.has_images:
        header["features"] = hash_images(dataset.features)
    for name, column in (("groups", dataset.groups), ("train_N", dataset.train_N)):
        if column is not None:
            header[name] = hashlib.sha256(repr(column.tolist()).encode()).hexdigest()
    if labelings:
        digest = hashlib.sha256()
        for labeling in labelings:
            digest.update(labeling.name.encode("utf-8", "surrogateescape"))
            digest.update(labeling.labels_N.tobytes())
        header["labelings"] = digest.hexdigest()
    return header


def _last_step(run: Run) -> int:
    """Return the last outer step that `metrics.jsonl` tells of; 0 where there is none."""
    steps = (row.get("step") for row in run.metrics())
    return max((step for step in steps if isinstance(step, int)), default=0)


def _ended_badly(sink: Sink, run: Run, again: str, error: BaseException) -> None:
    """Say in the run why the job ended; remove what never began.

    Args:
        sink: where the job writes.
        run: the same, open.
        again: words that `resume` needs beside the run.
        error: that the job ended in.
    """
    if isinstance(error, ConfigError | DataError) and sink.resumed is None:
        if sink.new is not None:
            run.discard()
        else:
            run.withdraw()
        return
    if isinstance(error, KeyboardInterrupt):
        if run.state == "done":  # a signal that came while the checkpoints were removed
            return
        state, reason = "stopped", interrupts.reason(error)
        error.args = (f"go on with: {command('resume', run.path)}{again}",)
    else:
        state = "failed"
        reason = error.what if isinstance(error, TaskDiscoveryError) else type(error).__name__
    with contextlib.suppress(TaskDiscoveryError):  # the disk may be full
        run.status(state, f"{sink.command}: {reason}")
