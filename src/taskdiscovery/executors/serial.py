"""Trainings one after the other, in this process. They are saved on the way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from taskdiscovery.executors.pieces import Piece
from taskdiscovery.journal import Journal, Unit, Watch
from taskdiscovery.progress import Meter


class Serial:
    """Does each piece when it is asked for.

    Args:
        images: (N, H, W, channels) uint8 on the learner's device.
        journal: remembers what is finished, and saves what is under way.
        threads: of each training.
    """

    def __init__(self, images: Tensor, journal: Journal, threads: int) -> None:
        self.images, self.journal, self.threads = images, journal, threads

    def begin(self, pieces: Sequence[Piece], meter: Meter) -> None:
        """Do nothing yet."""

    def unit(self, piece: Piece, meter: Meter) -> Unit:
        """Return the result of a piece, doing it if the journal does not have it."""

        def work(watch: Watch) -> Unit:
            return piece.keep(piece.training.run(self.images, meter=meter, watch=watch))

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            return self.journal.unit(piece.key, work)
        finally:
            torch.set_num_threads(before)
