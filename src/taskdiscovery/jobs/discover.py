"""`discover`: find tasks on which a learner generalizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.jobs.inputs import encoder_of, named_networks, read_data
from taskdiscovery.jobs.session import session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import Dataset

if TYPE_CHECKING:
    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder


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
        job.callbacks.on_result(found)
    return found


def _warm_encoder(config: DiscoverConfig, dataset: Dataset) -> Encoder | FeatureEncoder | None:
    """Open the encoder that `--warm-start RUN` begins with.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        ConfigError: where the method cannot begin with it.
    """
    method = config.method
    if not method.warm_run:
        return None
    network = getattr(method, "encoder", "") or config.learner
    encoder = encoder_of(Run.open(Path(method.warm_run)), named_networks(network, config.objects))
    method.check_warm(encoder, dataset, config.classes)
    return encoder
