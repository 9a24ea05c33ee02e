"""What all executors with workers share: handing out, collecting, starting lost trainings anew.

Results are committed to the journal one by one as they arrive, in whatever order, so a driver that
is killed loses only what was under way. A training whose worker is lost is started again elsewhere,
so many times and no more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from taskdiscovery.errors import WorkerError
from taskdiscovery.runtime import interrupts
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.store.journal import Journal
from taskdiscovery.training.request import Request
from taskdiscovery.types import Record


class LostWorkerError(Exception):
    """The worker of a training is gone.

    Args:
        reason: what is known of it.
        counts: whether the training may be what ended the worker.
    """

    def __init__(self, reason: str, *, counts: bool = True) -> None:
        super().__init__(reason)
        self.counts = counts


class Workers(ABC):
    """Does trainings elsewhere.

    Args:
        journal: of the job.
    """

    #: workers that a training may lose before it is set aside.
    attempts = 5
    #: what to tell the user whose training was set aside.
    hint = ""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: deque[tuple[Request, Meter]] = deque()
        self._running: dict[Any, tuple[Request, Meter]] = {}
        self._lost: Counter[str] = Counter()
        self._outcomes: dict[str, Record | BaseException] = {}
        self._asked: set[str] = set()

    def submit(self, requests: Sequence[Request], meter: Meter) -> None:
        """Hand out what the journal does not have."""
        for request in requests:
            if request.key not in self._asked and not self._journal.has(request.key):
                self._asked.add(request.key)
                self._waiting.append((request, meter))
        self._hand_out()

    def result(self, request: Request, meter: Meter) -> Record:
        """Wait for the result of a request, and commit whatever arrives meanwhile."""
        self.submit([request], meter)
        if request.key not in self._asked:
            known = self._journal.get(request.key)
            assert known is not None
            return known
        with interrupts.deferred():
            while request.key not in self._outcomes:
                self._collect()
        self._asked.discard(request.key)
        outcome = self._outcomes.pop(request.key)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    @abstractmethod
    def _slots(self) -> int:
        """Count the trainings for which there is room."""

    @abstractmethod
    def _start(self, request: Request) -> Any:
        """Begin a training; return its handle."""

    @abstractmethod
    def _ready(self) -> list[Any]:
        """Wait half a second at most; return the handles of trainings that have ended."""

    @abstractmethod
    def _outcome(self, handle: Any) -> Any:
        """Return the (m, K) outputs of a training, or the error that it ended in.

        Raises:
            LostWorkerError: where its worker is gone.
        """

    def _passed(self, handle: Any, request: Request, meter: Meter) -> None:
        """Tell the meter of a training that has ended."""
        meter.advance(request.training.passes)

    def _hand_out(self) -> None:
        # Some wait with the workers, so that none idles; not all, so that a long job does not
        # fill their memory with what it will need in an hour.
        while self._waiting and len(self._running) < max(2, 2 * self._slots()):
            request, meter = self._waiting.popleft()
            self._running[self._start(request)] = (request, meter)

    def _collect(self) -> list[Any]:
        """Wait a little for results, commit them, and hand out more; return what has ended.

        Raises:
            KeyboardInterrupt: where a signal waits.
        """
        ready = self._ready()
        interrupts.check()
        for handle in ready:
            request, meter = self._running.pop(handle)
            self._settle(handle, request, meter)
        self._hand_out()
        return ready

    def _settle(self, handle: Any, request: Request, meter: Meter) -> None:
        try:
            found = self._outcome(handle)
        except LostWorkerError as lost:
            self._restart(request, meter, lost)
            return
        if isinstance(found, BaseException):
            self._outcomes[request.key] = found
            return
        record = request.keep(torch.from_numpy(np.array(found)))
        self._journal.put(request.key, record)
        self._outcomes[request.key] = record
        self._passed(handle, request, meter)

    def _restart(self, request: Request, meter: Meter, lost: LostWorkerError) -> None:
        self._lost[request.key] += lost.counts
        if self._lost[request.key] < self.attempts:
            self._waiting.appendleft((request, meter))
            return
        self._outcomes[request.key] = WorkerError(
            f"{request.key} ended {self.attempts} workers, and is set aside",
            where=str(lost),
            hint=self.hint,
        )
