"""Cards that processes of a job share out among themselves, whoever of them starts or dies when."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from taskdiscovery.errors import ResourceError
from taskdiscovery.runtime import disk


@dataclass(frozen=True, kw_only=True)
class Cards:
    """GPUs that processes share out among themselves, one each.

    Attributes:
        folder: of the job, where each card has a file that is locked by whoever has it.
        count: how many there are; 0 for trainings on the processor.
    """

    folder: str
    count: int

    def take(self, patience: float = 60.0) -> tuple[str, IO[bytes] | None]:
        """Take one that no other process of the job has.

        Args:
            patience: seconds to wait for one: a process that has ended gives up its own.

        Returns:
            The device, `cuda:N` or `cpu`; and the file that is this card's, which must stay open.

        Raises:
            ResourceError: where all stay taken.
        """
        if not self.count:
            return "cpu", None
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            for number in range(self.count):
                stream = (Path(self.folder) / f"card-{number}").open("ab")
                try:
                    disk.lock(stream)
                except OSError:  # another process has it
                    stream.close()
                    continue
                return f"cuda:{number}", stream
            time.sleep(0.1)
        raise ResourceError(
            f"none of {self.count} cards has become free",
            where="--executor processes",
            hint="go on with taskdiscovery resume, or use --executor serial",
        )
