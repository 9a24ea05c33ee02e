"""Rows of a large array, gathered ahead of a device by a thread.

While the device works on one batch, the next ones are gathered into pinned memory and copied: the
device waits for a batch only where memory, or the disk behind a mapped file, is slower than it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from taskdiscovery.networks.images import take
from taskdiscovery.types import IntArray

#: batches that are gathered ahead.
AHEAD = 3
#: seconds after which a thread looks whether it is still wanted.
_PATIENCE = 0.2


def upload(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to a device without waiting for it; one that lies there stays."""
    if tensor.device == device or device.type == "cpu":
        return tensor
    if tensor.device.type == "cpu" and device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def prefetched(
    source: Tensor, batches: Sequence[IntArray], device: torch.device
) -> Generator[Tensor]:
    """Yield rows of an array on a device, batch by batch; each ends with the next.

    Args:
        source: (N, …) on the CPU, maybe memory-mapped.
        batches: rows of each batch.
        device: where they are wanted.

    Raises:
        OSError: where a mapped file cannot be read; and whatever else gathering raises.
    """
    if len(batches):
        with _Ring(source, batches, device) as ring:
            yield from ring


class _Slot:
    """Memory of one batch on the way: pinned, and on the device."""

    def __init__(self, source: Tensor, most: int, device: torch.device) -> None:
        shape, cuda = (most, *source.shape[1:]), device.type == "cuda"
        self.pinned = torch.empty(shape, dtype=source.dtype, pin_memory=cuda)
        self.placed = torch.empty(shape, dtype=source.dtype, device=device) if cuda else self.pinned
        event: Any = torch.cuda.Event
        #: after the copy, and after the work on it.
        self.copied: Any = event() if cuda else None
        self.used: Any = event() if cuda else None


class _Ring:
    """Slots that a thread fills, and its reader empties, in turn."""

    def __init__(self, source: Tensor, batches: Sequence[IntArray], device: torch.device) -> None:
        if device.type == "cuda":  # with its number: each thread has a default card of its own
            device = torch.empty(0, device=device).device
        self.source, self.batches, self.device = source, batches, device
        most = max(len(rows) for rows in batches)
        self.slots = [_Slot(source, most, device) for _ in range(min(AHEAD, len(batches)))]
        self.empty: queue.Queue[_Slot] = queue.Queue()
        for slot in self.slots:
            self.empty.put(slot)
        self.full: queue.Queue[tuple[_Slot, int] | BaseException] = queue.Queue()
        self.wanted = True
        self.thread = threading.Thread(target=self._fill, name="images ahead", daemon=True)

    def __enter__(self) -> _Ring:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.wanted = False
        self.thread.join()

    def __iter__(self) -> Iterator[Tensor]:
        cuda = self.device.type == "cuda"
        for _ in self.batches:
            found = self.full.get()
            if isinstance(found, BaseException):
                raise found
            slot, count = found
            if cuda:
                torch.cuda.current_stream(self.device).wait_event(slot.copied)
            yield slot.placed[:count]
            if cuda:
                slot.used.record(torch.cuda.current_stream(self.device))
            self.empty.put(slot)

    def _fill(self) -> None:
        try:
            cuda = self.device.type == "cuda"
            with torch.cuda.device(self.device) if cuda else nullcontext():
                stream: Any = torch.cuda.Stream() if cuda else None  # type: ignore[no-untyped-call]
                for rows in self.batches:
                    slot = self._next_slot()
                    if slot is None:
                        return
                    self._fill_slot(slot, torch.from_numpy(rows), stream)
                    self.full.put((slot, len(rows)))
        except BaseException as error:  # is raised where the batch is read
            self.full.put(error)

    def _next_slot(self) -> _Slot | None:
        while self.wanted:
            try:
                return self.empty.get(timeout=_PATIENCE)
            except queue.Empty:
                continue
        return None

    def _fill_slot(self, slot: _Slot, rows: Tensor, stream: Any) -> None:
        if stream is None:
            slot.pinned[: len(rows)].copy_(take(self.source, rows))
            return
        slot.copied.synchronize()  # this thread alone waits
        slot.pinned[: len(rows)].copy_(take(self.source, rows))
        with torch.cuda.stream(stream):
            stream.wait_event(slot.used)
            slot.placed[: len(rows)].copy_(slot.pinned[: len(rows)], non_blocking=True)
            slot.copied.record(stream)
