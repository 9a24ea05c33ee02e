"""Trainings in this process: one after the other, saved on the way; on a GPU small ones at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from taskdiscovery.networks.placing import Images
from taskdiscovery.runtime.hardware import threads
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Request, Training, Watch
from taskdiscovery.training.together import alike, room, run_together
from taskdiscovery.types import Record


class Serial:
    """Trains when a result is asked for.

    Args:
        images: (N, H, W, channels) uint8 as the learner's device sees them.
        journal: remembers what is finished, and saves what is under way.
        threads: of each training.
    """

    def __init__(self, images: Images, journal: Journal, threads: int) -> None:
        self.images, self.journal, self.threads = images, journal, threads
        self._waiting: dict[str, Request] = {}
        self._done: dict[str, Record] = {}
        self._rooms: dict[Any, int] = {}

    def submit(self, requests: Sequence[Request], meter: Meter) -> None:
        """Remember what will be asked for, where several can be done at once."""
        if self.images.device.type == "cuda":
            self._waiting |= {r.key: r for r in requests if not self.journal.has(r.key)}

    def result(self, request: Request, meter: Meter) -> Record:
        """Return the result of a request, training if the journal does not have it."""
        with threads(self.threads):
            if self._waiting.pop(request.key, None) is not None:
                self._together(request, meter)
            if request.key in self._done:
                return self._done.pop(request.key)

            def work(watch: Watch) -> Record:
                return request.keep(request.training.run(self.images, meter=meter, watch=watch))

            return self.journal.do(request.key, work)

    def _together(self, request: Request, meter: Meter) -> None:
        """Do a training together with others that will be asked for, where that is faster."""
        if self.journal.restored(request.key) is not None:
            return  # it goes on from where it was saved
        count = self._room(request.training)
        others = (r for r in self._waiting.values() if alike(request.training, r.training))
        group = [request, *islice(others, count - 1)]
        if len(group) == 1:
            return
        try:
            found = run_together([one.training for one in group], self.images, meter)
        except torch.OutOfMemoryError:
            found = None  # alone each may fit
        for one, outputs in zip(group, found or [], strict=False):
            self._done[one.key] = one.keep(outputs)
            self.journal.put(one.key, self._done[one.key])
            self._waiting.pop(one.key, None)

    def _room(self, training: Training) -> int:
        """Return how many trainings like this one are done at once, built once to be looked at."""
        alone = training.monitored is not None
        kind = (training.learner, training.shape, training.outputs, len(training.rows), alone)
        if kind not in self._rooms:
            self._rooms[kind] = room(training)
        return self._rooms[kind]
