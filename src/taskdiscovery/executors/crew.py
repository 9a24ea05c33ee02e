"""What all executors with workers share: handing out, collecting, beginning again.

Results are committed to the journal one by one as they arrive, in whatever order, so a driver that
is killed loses only what was under way. A training whose worker is lost is begun again elsewhere,
so many times and no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from taskdiscovery import interrupts
from taskdiscovery.errors import WorkerError
from taskdiscovery.executors.pieces import Piece
from taskdiscovery.journal import Journal, Unit
from taskdiscovery.progress import Meter


class LostWorkerError(Exception):
    """The worker of a training is gone.

    Args:
        reason: what is known of it.
        counts: whether the training may be what ended the worker.
    """

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.counts = counts


class Crew(ABC):
    """Does pieces elsewhere.

    Args:
        journal: of the job.
    """

    #: workers that a training may lose before it is set aside.
    attempts = 5
    #: what to tell the user whose training was set aside.
    mend = ""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: deque[tuple[Piece, Meter]] = deque()
        self._running: dict[Any, tuple[Piece, Meter]] = {}
        self._lost: Counter[str] = Counter()
        self._outcomes: dict[str, Unit | BaseException] = {}
        self._asked: set[str] = set()

    def begin(self, pieces: Sequence[Piece], meter: Meter) -> None:
        """Hand out what the journal does not have."""
        for piece in pieces:
            if piece.key not in self._asked and not self._journal.has(piece.key):
                self._asked.add(piece.key)
                self._waiting.append((piece, meter))
        self._hand_out()

    def unit(self, piece: Piece, meter: Meter) -> Unit:
        """Wait for the result of a piece, and commit whatever arrives meanwhile."""
        self.begin([piece], meter)
        if piece.key not in self._asked:
            known = self._journal.get(piece.key)
            assert known is not None
            return known
        with interrupts.deferred():
            while piece.key not in self._outcomes:
                self._collect()
        self._asked.discard(piece.key)
        outcome = self._outcomes.pop(piece.key)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @abstractmethod
    def _slots(self) -> int:
        """Count the trainings for which there is room."""

    @abstractmethod
    def _start(self, piece: Piece) -> Any:
        """Begin a training; return its handle."""

    @abstractmethod
    def _ready(self) -> list[Any]:
        """Wait half a second at most; return the handles of trainings that have ended."""

    @abstractmethod
    def _result(self, handle: Any) -> Any:
        """Return the (m, K) outputs of a training, or the error that it ended in.

        Raises:
            LostWorkerError: where its worker is gone.
        """

    def _passed(self, handle: Any, piece: Piece, meter: Meter) -> None:
        """Tell the meter of a training that has ended."""
        meter.advance(piece.training.passes)

    def _hand_out(self) -> None:
        # Some wait with the workers, so that none idles; not all, so that a long job does not
        # fill their memory with what it will need in an hour.
        while self._waiting and len(self._running) < max(2, 2 * self._slots()):
            piece, meter = self._waiting.popleft()
            self._running[self._start(piece)] = (piece, meter)

    def _collect(self) -> list[Any]:
        """Wait a little for results, commit them, and hand out more; return what has ended.

        Raises:
            KeyboardInterrupt: where a signal waits.
        """
        ready = self._ready()
        interrupts.check()
        for handle in ready:
            piece, meter = self._running.pop(handle)
            self._settle(handle, piece, meter)
        self._hand_out()
        return ready

    def _settle(self, handle: Any, piece: Piece, meter: Meter) -> None:
        try:
            found = self._result(handle)
        except LostWorkerError as lost:
            self._begin_again(piece, meter, lost)
            return
        if isinstance(found, BaseException):
            self._outcomes[piece.key] = found
            return
        unit = piece.keep(torch.from_numpy(np.array(found)))
        self._journal.put(piece.key, unit)
        self._outcomes[piece.key] = unit
        self._passed(handle, piece, meter)

    def _begin_again(self, piece: Piece, meter: Meter, lost: LostWorkerError) -> None:
        self._lost[piece.key] += lost.counts
        if self._lost[piece.key] < self.attempts:
            self._waiting.appendleft((piece, meter))
            return
        self._outcomes[piece.key] = WorkerError(
            f"{piece.key} ended {self.attempts} workers, and is set aside",
            where=str(lost),
            mend=self.mend,
        )
