"""What an executor is given, and what it promises.

A job makes *requests* for trainings, submits those that it will want, and asks for their results in
order. A result follows from the request alone, so it does not tell who computed it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from taskdiscovery.runtime.progress import Meter
from taskdiscovery.training.work import Training
from taskdiscovery.types import Record


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """A training that a job asks for.

    Attributes:
        key: its name in the job's journal.
        training: what to do.
        keep: makes what the journal keeps from the (m, K) outputs.
    """

    key: str
    training: Training
    keep: Callable[[Tensor], Record]


class Executor(Protocol):
    """Does requested trainings."""

    def submit(self, requests: Sequence[Request], meter: Meter) -> None:
        """Say which results will be asked for, in that order; some trainings may begin at once."""
        ...

    def result(self, request: Request, meter: Meter) -> Record:
        """Return the result of a request, training if the journal does not have it.

        Raises:
            NumericalError: where its training diverged.
            WorkerError: where it ends every worker that takes it up.
            KeyboardInterrupt: where a signal asks for it.
        """
        ...
