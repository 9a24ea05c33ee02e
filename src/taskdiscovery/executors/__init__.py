"""Who does the trainings of a job: this process, one after the other, or a Ray cluster.

A job makes its trainings as *pieces*, says which ones it will ask for, and asks for them in order.
A piece's result follows from the piece alone, so who does it cannot be told from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from taskdiscovery.config import WorkConfig
from taskdiscovery.journal import Journal, Unit, Watch
from taskdiscovery.progress import Meter
from taskdiscovery.training import Training


@dataclass(frozen=True, eq=False, kw_only=True)
class Piece:
    """A training that a job asks for.

    Attributes:
        key: its name in the job's journal.
        training: what to do.
        keep: makes what the journal keeps from the (m, K) outputs.
    """

    key: str
    training: Training
    keep: Callable[[Tensor], Unit]


class Executor(Protocol):
    """Does pieces."""

    def begin(self, pieces: Sequence[Piece], meter: Meter) -> None:
        """Say which pieces will be asked for, in that order; some may begin at once."""
        ...

    def unit(self, piece: Piece, meter: Meter) -> Unit:
        """Return the result of a piece, doing it if the journal does not have it.

        Raises:
            NumericalError: where its training diverged.
            WorkerError: where it ends every worker that takes it up.
            KeyboardInterrupt: where a signal asks for it.
        """
        ...


class Serial:
    """Does each piece in this process when it is asked for.

    Args:
        images: (N, H, W, channels) uint8 on the learner's device.
        journal: remembers what is finished, and saves what is under way.
    """

    def __init__(self, images: Tensor, journal: Journal) -> None:
        self.images, self.journal = images, journal

    def begin(self, pieces: Sequence[Piece], meter: Meter) -> None:
        """Do nothing yet."""

    def unit(self, piece: Piece, meter: Meter) -> Unit:
        """Return the result of a piece, doing it if the journal does not have it."""

        def work(watch: Watch) -> Unit:
            return piece.keep(piece.training.run(self.images, meter=meter, watch=watch))

        return self.journal.unit(piece.key, work)


@contextmanager
def opened(config: WorkConfig, images: Tensor, journal: Journal) -> Iterator[Executor]:
    """Give the executor that the config names, and close it when the block ends.

    Args:
        config: resolved.
        images: (N, H, W, channels) uint8.
        journal: of the job.

    Raises:
        ConfigError: where Ray is asked for and absent.
        WorkerError: where no cluster answers.
    """
    if config.executor == "ray":
        from taskdiscovery.executors.ray import Ray

        with Ray.connected(config, images, journal) as crew:
            yield crew
    else:
        yield Serial(images, journal)
