"""What an executor is given, and what it promises.

A job makes its trainings as *pieces*, says which ones it will ask for, and asks for them in order.
A piece's result follows from the piece alone, so who does it cannot be told from the result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from taskdiscovery.journal import Unit
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
