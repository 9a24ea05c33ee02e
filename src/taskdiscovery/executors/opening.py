"""Opening a workbench: images in place, threads set, workers started; and all of it undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from taskdiscovery.config import ResolvedLearner, WorkConfig
from taskdiscovery.executors.serial import Serial
from taskdiscovery.networks import Normalization
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.runtime import hardware
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Executor, Workbench
from taskdiscovery.types import Dataset, ImageArray, IntArray


@contextmanager
def workbench(
    dataset: Dataset,
    config: WorkConfig,
    learner: ResolvedLearner,
    rows: IntArray,
    journal: Journal,
    callbacks: Callbacks,
) -> Iterator[Workbench]:
    """Give a workbench; its workers end, and the process has its threads back, with the block.

    Args:
        dataset: the images.
        config: resolved.
        learner: what is trained.
        rows: images that the normalization is measured on.
        journal: of the job.
        callbacks: told of progress.

    Raises:
        ConfigError: where Ray is asked for and absent.
        WorkerError: where no cluster answers.
    """
    images = to_tensor(dataset.images, config.device)
    threads = (config.threads or 1) * (config.jobs or 1)
    with (
        hardware.threads(threads),
        _executor(config, images, dataset.images, journal) as executor,
    ):
        yield Workbench(
            dataset=dataset,
            images=images,
            normalization=Normalization.measure(dataset.images, rows),
            learner=learner,
            executor=executor,
            journal=journal,
            callbacks=callbacks,
        )


@contextmanager
def _executor(
    config: WorkConfig, images: Tensor, mapped: ImageArray, journal: Journal
) -> Iterator[Executor]:
    """Give the executor that the config names, and close it when the block ends.

    Args:
        config: resolved.
        images: (N, H, W, channels) uint8 on the learner's device.
        mapped: the same as they were read: in memory, or mapped.
        journal: of the job.
    """
    if config.executor == "ray":
        from taskdiscovery.executors.ray import Ray

        with Ray.connected(config, mapped, journal) as workers:
            yield workers
    elif config.executor == "processes":
        from taskdiscovery.executors.processes import Processes

        with Processes.started(config, mapped, journal) as started:
            yield started
    else:
        yield Serial(images, journal, config.threads or 1)
