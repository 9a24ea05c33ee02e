"""Trainings in several processes of this machine, each with a few threads or with a GPU of its own.

Small networks leave most threads waiting for each other: two trainings of one thread each are
faster than one of two threads after the other, and the more so the more cores there are. The images
are mapped from one file into all processes; one with a GPU uploads them once. A training is started
again when its process dies, with fewer of them at once: most die for want of memory.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import loky
import numpy as np
import torch
from loky.backend import resource_tracker
from loky.process_executor import BrokenProcessPool

from taskdiscovery.config import WorkConfig
from taskdiscovery.errors import ResourceError, TaskDiscoveryError, first_line
from taskdiscovery.executors.workers import LostWorkerError, Workers
from taskdiscovery.networks.placing import Images, place
from taskdiscovery.runtime import devices, interrupts
from taskdiscovery.runtime.cards import Cards
from taskdiscovery.runtime.hardware import keep_freed_memory
from taskdiscovery.runtime.isolation import usual_torch
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.store.journal import Journal
from taskdiscovery.training import Request, Training
from taskdiscovery.types import ImageArray, Matrix


@dataclass(frozen=True, kw_only=True)
class Mapped:
    """Where on disk images lie as they lie in memory."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    offset: int

    @classmethod
    def of(cls, images: Matrix | ImageArray, folder: Path) -> Mapped:
        """Say where the images lie; those that lie in memory alone are written to the folder."""
        whole = isinstance(images, np.memmap) and isinstance(images.base, mmap.mmap)
        if not whole or not images.flags.c_contiguous:
            np.save(folder / "images.npy", images)
            images = np.load(folder / "images.npy", mmap_mode="r")
        assert isinstance(images, np.memmap)
        return cls(
            path=str(images.filename),
            shape=images.shape,
            dtype=images.dtype.str,
            offset=images.offset,
        )

    def open(self) -> Matrix | ImageArray:
        """Map them, so that a write would be a copy of one's own."""
        return np.memmap(
            self.path, dtype=self.dtype, mode="c", offset=self.offset, shape=self.shape
        )


class Processes(Workers):
    """Trains in processes of its own. Made by `started`.

    Args:
        config: resolved; `jobs` trainings at once, of `threads` each.
        images: where the images lie.
        folder: for the counts of images that have passed.
        journal: of the job.
    """

    attempts = 2
    hint = "does it fit in memory? lower --batch or --jobs; then go on with taskdiscovery resume"

    def __init__(self, config: WorkConfig, images: Mapped, folder: Path, journal: Journal) -> None:
        super().__init__(journal)
        self._jobs = config.jobs or 1
        place = Cards(
            folder=str(folder), count=devices.cards() if devices.is_cuda(config.device) else 0
        )
        self._setting = (images, _paths(), config.threads or 1, os.getpid(), place)
        self._counts_at = folder / "passed.npy"
        np.save(self._counts_at, np.zeros(4 * self._jobs + 4))
        self._counts = np.load(self._counts_at, mmap_mode="r+")
        self._free = list(range(len(self._counts)))
        self._seat: dict[Any, tuple[int, float]] = {}
        self._pool: loky.ProcessPoolExecutor | None = None

    @classmethod
    @contextmanager
    def started(
        cls, config: WorkConfig, images: Matrix | ImageArray, journal: Journal
    ) -> Iterator[Processes]:
        """Start the processes with the first training, and end them with the block."""
        with tempfile.TemporaryDirectory(prefix="taskdiscovery-") as name:
            folder = Path(name)
            workers = cls(config, Mapped.of(images, folder), folder, journal)
            try:
                yield workers
            finally:
                workers._close()

    def _slots(self) -> int:
        return self._jobs

    def _start(self, request: Request) -> Any:
        # With the first training the processes are started, and the one that tidies up after them.
        with interrupts.kept_from_children(), _quiet_tracker():
            if self._pool is None:
                self._pool = self._opened()
            seat = self._free.pop()
            self._counts[seat] = 0
            future = self._pool.submit(_work, request.training, str(self._counts_at), seat)
        self._seat[future] = (seat, 0.0)
        return future

    def _opened(self) -> loky.ProcessPoolExecutor:
        try:
            return loky.ProcessPoolExecutor(
                max_workers=self._jobs, initializer=_begin, initargs=self._setting, timeout=None
            )
        except OSError as error:
            raise ResourceError(
                f"processes cannot be started: {error.strerror or error}",
                where="--executor processes, which needs a little of /dev/shm",
                hint="use --executor serial, or give the container a larger /dev/shm",
            ) from error

    def _ready(self) -> list[Any]:
        from concurrent.futures import FIRST_COMPLETED, wait

        done, _ = wait(self._running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future, (_, meter) in self._running.items():
            seat, seen = self._seat[future]
            passed = float(self._counts[seat])
            if passed > seen:
                meter.advance(passed - seen)
                self._seat[future] = (seat, passed)
        return [future for future in self._running if future in done]

    def _outcome(self, handle: Any) -> Any:
        try:
            return handle.result()
        except BrokenProcessPool as error:
            alone = self._jobs == 1
            if self._pool is not None:  # all of its trainings are lost at once
                self._close()
                self._jobs = max(1, self._jobs // 2)
            raise LostWorkerError(first_line(error), counts=alone) from error
        except Exception as error:  # a bug in a network of the user's, or in ours
            return error
        finally:
            self._free.append(self._seat[handle][0])

    def _passed(self, handle: Any, request: Request, meter: Meter) -> None:
        _, seen = self._seat.pop(handle)
        meter.advance(request.training.passes - seen)

    def _close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            with _quiet_tracker():
                with interrupts.kept_from_children():
                    _remind_tracker()
                pool.shutdown(wait=True, kill_workers=True)


@contextmanager
def _quiet_tracker() -> Iterator[None]:
    """Start loky's resource tracker again, where it was killed, without a word: nothing is lost."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="resource_tracker: process died")
        yield


def _remind_tracker() -> None:
    """Name our semaphores to loky's resource tracker: one that is new complains of unknown ones."""
    resource_tracker.ensure_running()  # what is sent to one that is dead is lost
    for file in Path("/dev/shm").glob(f"sem.loky-{os.getpid()}-*"):
        resource_tracker.register(f"/{file.name.removeprefix('sem.')}", "semlock")


def _paths() -> list[str]:
    """Where the user's own networks are found."""
    return [os.path.abspath(path) for path in sys.path]


@dataclass(kw_only=True)
class _Place:
    """Where a process trains.

    Attributes:
        mapped: where the images lie on disk.
        cards: of the job.
        images: as the device sees them, once there was a first training.
        device: that the process has taken.
        file: that says so to the others, open as long as the process lives.
    """

    mapped: Mapped
    cards: Cards
    images: Images | None = None
    device: str = "cpu"
    file: IO[bytes] | None = None

    def ready(self) -> tuple[Images, str]:
        """Return the images as they are seen on the device of this process, and the device.

        Raises:
            ResourceError: where no card is left.
        """
        if self.images is None:
            if self.file is None:
                self.device, self.file = self.cards.take()
            if devices.is_cuda(self.device):  # whatever says `cuda` means this one
                torch.cuda.set_device(self.device)
            self.images = place(self.mapped.open(), self.device)
        return self.images, self.device


_place: _Place


def _begin(images: Mapped, paths: list[str], threads: int, parent: int, cards: Cards) -> None:
    """Prepare a process. A signal to all of the job reaches it, too, but is for the driver."""
    global _place
    interrupts.leave_to_driver()
    sys.path.extend(path for path in paths if path not in sys.path)
    torch.set_num_threads(threads)
    keep_freed_memory()
    _place = _Place(mapped=images, cards=cards)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its driver has been killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


class _Told:
    """Counts the images that have passed where the driver can see it."""

    def __init__(self, path: str, seat: int) -> None:
        self.counts, self.seat = np.load(path, mmap_mode="r+"), seat

    def advance(self, amount: float = 1, note: str = "") -> None:
        self.counts[self.seat] += amount


def _work(training: Training, counts: str, seat: int) -> Any:
    """Do one training. An error that a user can mend is returned, not raised."""
    try:
        images, device = _place.ready()
        with usual_torch():
            return training.on(device).run(images, meter=_Told(counts, seat)).numpy()
    except TaskDiscoveryError as error:
        return error
