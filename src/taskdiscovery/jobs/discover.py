"""`discover`: find tasks on which a learner generalizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.discovery import DiscoverConfig, Meta
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.errors import ConfigError
from taskdiscovery.jobs.inputs import encoder_of, named_networks, read_data
from taskdiscovery.jobs.session import session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Dataset

if TYPE_CHECKING:
    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.encoders.encoder import Encoder


def run(
    data: Any,
    config: DiscoverConfig,
    sink: Sink,
    callbacks: Callbacks,
) -> Discovery:
    """Do the job.

    Args:
        data: anything that `load` takes.
        config: as given.
        sink: where the job writes.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`; nothing is written where options or data are wrong.
    """
    dataset = read_data(data, config, callbacks)
    from taskdiscovery.discovery import search
    from taskdiscovery.executors import workbench

    warm = _warm_encoder(config, dataset)
    config = search.resolve(config, dataset)
    view = search.view_of(dataset, config)
    with session(sink, dataset, config, callbacks) as job:
        learner = config.learner_of()
        with workbench(dataset, config, learner, view.rows, job.journal, job.callbacks) as bench:
            found = search.discover(bench, config, view, warm=warm)
        found = replace(found, config=job.document)
        if job.run is not None:
            job.run.write_discovery(found, dataset)
    return found


def _warm_encoder(config: DiscoverConfig, dataset: Dataset) -> Encoder | None:
    """Open the encoder that `--warm-start RUN` begins with.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        ConfigError: where it is for other images or another number of classes.
    """
    method = config.method
    if not isinstance(method, Meta) or not method.warm_start:
        return None
    named = named_networks(method.encoder or config.learner, config.objects)
    encoder = encoder_of(Run.open(Path(method.warm_start)), named)
    if isinstance(encoder, FeatureEncoder):
        raise ConfigError(
            "the run's tasks were found on features, by no network that could go on",
            where="--warm-start",
            hint="give a run of --method power, spectral or meta",
        )
    if encoder.image_shape != dataset.image_shape or encoder.classes != config.classes:
        raise ConfigError(
            f"the run's tasks have {encoder.classes} classes, on images of {encoder.image_shape}; "
            f"here {config.classes} and {dataset.image_shape} are asked for",
            where="--warm-start",
            hint="give a run on images of this size, with as many --classes",
        )
    return encoder
