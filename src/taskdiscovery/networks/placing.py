"""Images as a device sees them: on a GPU resident where they fit, else streamed to it.

One copy of the rows that are used lies on a device, for all trainings of a job and for the jobs
that follow on the same data set, as long as the data set lives. What does not fit beside a training
is gathered from memory, or from a mapped file, batch by batch.

Axes: N images of the data set, n rows.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

from taskdiscovery.networks import streaming
from taskdiscovery.networks.images import take, to_tensor
from taskdiscovery.runtime.device_memory import available_memory
from taskdiscovery.types import BoolArray, ImageArray, IntArray, Matrix

_LOG = logging.getLogger("taskdiscovery")

#: share of the free memory that resident images may take: the rest is for training.
SHARE = 0.5
#: rows that are looked at to see whether an array was written to.
_SAMPLE = 256
#: bytes that are uploaded at once.
_CHUNK = 2**26

#: what lies on a device, by the array that it was copied from and the device; it ends with either.
_STORES: Any = WeakIdKeyDictionary()


class _Store:
    """Rows of one array that lie on a device.

    Attributes:
        rows: (n, …) of them.
        place_N: (N,) on the device: where each row of the array lies; N where it does not.
        held_N: (N,) which do.
        version: rises whenever they are laid out anew.
        told: whether it was said that images are streamed.
        users: who looks at it now.
    """

    def __init__(self, count: int) -> None:
        self.rows: Tensor | None = None
        self.place_N: Tensor | None = None
        self.held_N: BoolArray = np.zeros(count, dtype=bool)
        self.version = 0
        self.told = False
        self.users: weakref.WeakSet[Placed] = weakref.WeakSet()

    def clear(self) -> None:
        """Give the memory back."""
        self.rows = self.place_N = None
        self.held_N[:] = False
        self.version += 1


class Placed:
    """Images of a data set for a device.

    Args:
        images: (N, H, W, channels) uint8, or (N, 1, 1, P) features, in memory or memory-mapped.
        device: where they are asked for.
        owner: the array by which other jobs find what lies on the device; the images themselves
            where they are no view made for the occasion.
        limit: bytes that may lie on the device; by default a share of what is free.
    """

    def __init__(
        self,
        images: Matrix | ImageArray,
        device: torch.device | str,
        *,
        owner: Matrix | ImageArray | None = None,
        limit: int | None = None,
    ) -> None:
        self.source = to_tensor(images, "cpu")
        self.device, self.limit = torch.device(device), limit
        self.shape, self.dtype = self.source.shape, self.source.dtype
        by_device = _STORES.setdefault(images if owner is None else owner, {})
        self._store: _Store = by_device.setdefault(str(self.device), _Store(len(images)))
        if not len(self._store.users) and not self._unchanged():
            self._store.clear()
        self._store.users.add(self)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def identity(self) -> tuple[int, int]:
        """What changes whenever rows that are held are laid out anew."""
        return id(self._store), self._store.version

    def hold(self, rows: IntArray) -> bool:
        """Make rows resident, those that are not; say whether all of them are.

        Args:
            rows: (n,) any rows.
        """
        store = self._store
        missing = np.unique(rows[~store.held_N[rows]])
        if not len(missing):
            return True
        each = self.source[0].numel() * self.source.element_size()
        # While rows are added, those that were there lie there twice.
        needed = each * (len(missing) + 2 * int(store.held_N.sum()))
        fits = needed <= self._room(needed) and self._add(missing)
        if not fits and not store.told:
            _LOG.info(
                "%.1f GB of images do not fit beside a training on %s: they are streamed to it",
                each * len(missing) / 1e9,
                self.device,
            )
            store.told = True
        return fits

    def take(self, rows: Tensor) -> Tensor:
        """Return the images of some rows, on the device.

        Args:
            rows: (n,) on the CPU any; on the device such as are held, which is not checked here:
                to look would be to wait for the device.
        """
        store = self._store
        if rows.device.type == "cpu" and not store.held_N[rows.numpy()].all():
            return streaming.upload(take(self.source, rows), self.device)
        assert store.rows is not None
        assert store.place_N is not None
        placed = store.place_N.index_select(0, streaming.upload(rows, self.device))
        return store.rows.index_select(0, placed)

    def batches(self, rows: Sequence[IntArray]) -> Generator[Tensor]:
        """Yield the images of some rows after another; each ends with the next.

        Args:
            rows: of each batch.
        """
        held_N = self._store.held_N
        absent = [chosen for chosen in rows if not held_N[chosen].all()]
        with closing(streaming.prefetched(self.source, absent, self.device)) as ahead:
            for chosen in rows:
                if held_N[chosen].all():
                    yield self.take(torch.from_numpy(chosen))
                else:
                    yield next(ahead)

    def _unchanged(self) -> bool:
        """Say whether what lies there is what the array holds, by a sample of rows.

        An array may be written to between two jobs, and is then other data by the same name.
        """
        held = np.flatnonzero(self._store.held_N)
        if not len(held):
            return True
        few = held[np.linspace(0, len(held) - 1, min(len(held), _SAMPLE), dtype=np.int64)]
        rows = torch.from_numpy(few)
        return torch.equal(self.take(rows).cpu(), take(self.source, rows))

    def _room(self, needed: int) -> float:
        """Return the bytes that rows may take; others' make room where nobody looks at them."""
        if self.limit is not None:
            return self.limit
        room = SHARE * available_memory(self.device)
        if needed > room:
            for by_device in _STORES.values():
                other = by_device.get(str(self.device))
                if other is not None and other is not self._store and not len(other.users):
                    other.clear()
            room = SHARE * available_memory(self.device)
        return room

    def _add(self, missing: IntArray) -> bool:
        """Upload rows; say whether there was memory for them."""
        store, before = self._store, 0 if self._store.rows is None else len(self._store.rows)
        try:
            rows = torch.empty(
                (before + len(missing), *self.shape[1:]), dtype=self.dtype, device=self.device
            )
        except torch.OutOfMemoryError:
            return False
        if store.rows is not None:
            rows[:before].copy_(store.rows)
        each = max(1, self.source[0].numel() * self.source.element_size())
        step, at = max(1, _CHUNK // each), before
        cuts = [missing[i : i + step] for i in range(0, len(missing), step)]
        for chunk in streaming.prefetched(self.source, cuts, self.device):
            rows[at : at + len(chunk)].copy_(chunk)
            at += len(chunk)
        place_N = torch.full((len(self),), len(self), dtype=torch.int64)
        if store.place_N is not None:
            place_N.copy_(store.place_N)
        place_N[torch.from_numpy(missing)] = torch.arange(before, len(rows))
        store.rows, store.place_N = rows, place_N.to(self.device)
        store.held_N[missing] = True
        store.version += 1
        return True


#: images on the CPU, or as a device sees them.
Images = Tensor | Placed


def place(
    images: Matrix | ImageArray, device: str, owner: Matrix | ImageArray | None = None
) -> Images:
    """Share images with torch on the CPU; on a GPU say how they are seen there.

    Nothing is uploaded before a row is asked for. Arguments as of `Placed`.
    """
    if torch.device(device).type == "cpu":
        return to_tensor(images, device)
    return Placed(images, device, owner=owner)


def hold(images: Images, rows: IntArray) -> bool:
    """Make rows resident where the images are asked for; say whether they are."""
    return images.hold(rows) if isinstance(images, Placed) else True


def on_host(images: Images) -> Tensor:
    """Return all images as they lie in the memory of the processor."""
    return images.source if isinstance(images, Placed) else images
