"""Opening a workbench: images in place, threads set, workers started; and all of it undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from taskdiscovery.config import ResolvedLearner, WorkConfig, takes_features
from taskdiscovery.executors.serial import Serial
from taskdiscovery.networks import Normalization
from taskdiscovery.networks.placing import Images, place
from taskdiscovery.runtime import devices, hardware
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Executor, Workbench, forget_steps
from taskdiscovery.types import Dataset, ImageArray, IntArray, Matrix


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
    inputs = inputs_of(dataset, config.on_features)
    here = devices.here(config.device)  # of a cluster's driver, which may have no card
    images = place(inputs, here, _owner(dataset, config.on_features))
    threads = (config.threads or 1) * (config.jobs or 1)
    with (
        hardware.threads(threads),
        _executor(config, images, inputs, journal) as executor,
    ):
        try:
            yield Workbench(
                dataset=dataset,
                inputs=inputs,
                images=images,
                normalization=Normalization.measure(inputs, rows),
                learner=replace(learner, device=here),
                executor=executor,
                journal=journal,
                callbacks=callbacks,
            )
        finally:
            forget_steps()


def inputs_of(dataset: Dataset, on_features: bool) -> Matrix | ImageArray:
    """Return what a learner looks at: images, or features as images of one pixel.

    Args:
        dataset: the images.
        on_features: which of the two.

    Raises:
        ConfigError: where the data has none of these.
    """
    if not on_features:
        dataset.require_images("this learner")
        return dataset.images
    assert dataset.features is not None
    return dataset.features[:, None, None, :]


def _owner(dataset: Dataset, on_features: bool) -> Matrix | ImageArray:
    """Return the array by which later jobs find what lies on a device already."""
    return dataset.images if dataset.features is None or not on_features else dataset.features


def looking_at(bench: Workbench, learner: ResolvedLearner, config: WorkConfig) -> Workbench:
    """Return a workbench for another learner, which may look at features where this one does not.

    Args:
        bench: of a job.
        learner: the other one.
        config: resolved, of the job.
    """
    on_features = bool(config.features) and takes_features(learner.name)
    bench = replace(bench, learner=replace(learner, device=devices.here(learner.device)))
    if on_features == config.on_features:
        return bench
    inputs = inputs_of(bench.dataset, on_features)
    images = place(inputs, bench.learner.device, _owner(bench.dataset, on_features))
    own = Serial(images, bench.journal, config.threads or 1)
    return replace(bench, inputs=inputs, images=images, executor=own)


@contextmanager
def _executor(
    config: WorkConfig, images: Images, mapped: Matrix | ImageArray, journal: Journal
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
