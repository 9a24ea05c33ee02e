"""Who does the trainings of a job: this process, one after the other; several; or a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

from taskdiscovery.config import WorkConfig
from taskdiscovery.executors.pieces import Executor, Piece
from taskdiscovery.executors.serial import Serial
from taskdiscovery.journal import Journal
from taskdiscovery.types import ImageArray

__all__ = ["Executor", "Piece", "Serial", "opened"]


@contextmanager
def opened(
    config: WorkConfig, images: Tensor, source: ImageArray, journal: Journal
) -> Iterator[Executor]:
    """Give the executor that the config names, and close it when the block ends.

    Args:
        config: resolved.
        images: (N, H, W, channels) uint8 on the learner's device.
        source: the same as they were read: in memory, or mapped.
        journal: of the job.

    Raises:
        ConfigError: where Ray is asked for and absent.
        WorkerError: where no cluster answers.
    """
    if config.executor == "ray":
        from taskdiscovery.executors.ray import Ray

        with Ray.connected(config, source, journal) as crew:
            yield crew
    elif config.executor == "processes":
        from taskdiscovery.executors.processes import Processes

        with Processes.started(config, source, journal) as crew:
            yield crew
    else:
        yield Serial(images, journal, config.threads or 1)
