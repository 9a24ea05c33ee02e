"""`analyze`: evidence for what each task is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.config import AnalyzeConfig, Network
from taskdiscovery.data.labels.targets import is_target_spec
from taskdiscovery.errors import RunDirError
from taskdiscovery.jobs.inputs import (
    choose,
    encoder_of,
    read_alike,
    read_data,
    reading_of,
)
from taskdiscovery.jobs.looking import features_of
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.jobs.specs import split_run_task
from taskdiscovery.jobs.trust import data_of
from taskdiscovery.runtime import hardware
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Evidence, ImageArray, IntArray, Tasks

if TYPE_CHECKING:
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder


def run(
    data: Any,
    tasks: Any,
    config: AnalyzeConfig,
    sink: Sink,
    callbacks: Callbacks,
    *,
    networks: Mapping[str, Network],
) -> Evidence:
    """Do the job.

    Args:
        data: anything that `load` takes; None for the data of the run.
        tasks: a run or its path, RUN:TASK,TASK, a `Discovery`, or labelings as `inputs.choose`
            takes them.
        config: as given; how a run's own images were read is taken over.
        sink: where the job writes.
        callbacks: told of progress.
        networks: that the caller has named, by name.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    opened, some = run_of(tasks), ""
    if opened is None and isinstance(tasks, str) and not is_target_spec(tasks):
        path, some = split_run_task(tasks)
        opened = None if path is None else Run.open(path)
    if opened is not None:
        tasks = tasks if some else opened
        known = reading_of(opened)
        skip_bad = config.skip_bad or known.skip_bad
        config = replace(read_alike(config, known), skip_bad=skip_bad)
        config = with_parts(config, opened, data)
        again = config.features or features_of(opened, data)
        config = replace(config, features=again)
        data = data_of(opened, opened.config) if data is None else data
    else:
        config = with_parts(read_alike(config, reading_of(tasks)), tasks, data)
        config = replace(config, features=config.features or features_of(tasks, data))
    dataset = read_data(data, config, callbacks)
    chosen = choose(dataset, tasks, networks)
    encoder = _encoder(tasks) if opened is None else encoder_of(opened, networks)
    from taskdiscovery.analysis.evidence import analyze

    if not dataset.has_images or (encoder is not None and not encoder.takes_images):
        encoder = None

    config = _resolved(config)
    assert config.threads is not None
    labelings = replace(Tasks.of(chosen.labelings), seen_N=chosen.seen_N)
    held = () if opened is not None else chosen.labelings
    with session(sink, dataset, config, callbacks, held) as job, hardware.threads(config.threads):
        if encoder is not None and some:
            encoder = _some_of(encoder, labelings.names)
        found = analyze(dataset, labelings, encoder, config, job.callbacks)
        if job.run is not None:
            job.run.write_evidence(found)
        job.callbacks.on_result(found)
    return found


def _resolved(config: AnalyzeConfig) -> AnalyzeConfig:
    """Take the decisions that depend on the machine.

    Raises:
        ConfigError: where the device is not there.
    """
    from taskdiscovery.executors import resolve_device

    threads = config.threads or hardware.cpu_cores()
    return replace(config, threads=threads, device=resolve_device(config.device))


def run_of(tasks: Any) -> Run | None:
    """Return the run that is meant, or None.

    Raises:
        RunDirError: where a path is no run directory.
    """
    if isinstance(tasks, Run):
        return tasks
    if isinstance(tasks, str | Path) and Path(tasks).is_dir():
        return Run.open(Path(tasks))
    if isinstance(tasks, Path):
        raise RunDirError(
            "this is not a run directory", where=str(tasks), hint="give the --out of a run"
        )
    return None


class _Some:
    """An encoder that labels images by some of its tasks."""

    def __init__(self, encoder: Encoder | FeatureEncoder, names: tuple[str, ...]) -> None:
        self._encoder = encoder
        self._columns = [encoder.names.index(name) for name in names]

    def predict(self, images: ImageArray, device: str = "cpu") -> IntArray:
        """Return (N, tasks) labels."""
        return self._encoder.predict(images, device)[:, self._columns]


def _some_of(encoder: Encoder | FeatureEncoder, names: tuple[str, ...]) -> Any:
    return _Some(encoder, names)


def _encoder(tasks: Any) -> Encoder | FeatureEncoder | None:
    """Return what labels transformed images: the encoder of a discovery."""
    return getattr(tasks, "encoder", None)
