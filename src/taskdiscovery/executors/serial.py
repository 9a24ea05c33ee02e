"""Trainings one after the other, in this process. They are saved on the way."""

from __future__ import annotations

from collections.abc import Sequence

from taskdiscovery.networks.placing import Images
from taskdiscovery.runtime.hardware import threads
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Request, Watch
from taskdiscovery.types import Record


class Serial:
    """Trains when a result is asked for.

    Args:
        images: (N, H, W, channels) uint8 on the learner's device.
        journal: remembers what is finished, and saves what is under way.
        threads: of each training.
    """

    def __init__(self, images: Images, journal: Journal, threads: int) -> None:
        self.images, self.journal, self.threads = images, journal, threads

    def submit(self, requests: Sequence[Request], meter: Meter) -> None:
        """Do nothing yet."""

    def result(self, request: Request, meter: Meter) -> Record:
        """Return the result of a request, training if the journal does not have it."""

        def work(watch: Watch) -> Record:
            return request.keep(request.training.run(self.images, meter=meter, watch=watch))

        with threads(self.threads):
            return self.journal.do(request.key, work)
