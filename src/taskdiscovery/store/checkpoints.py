"""Checkpoints: `checkpoints/000120/` with a state, arrays and a manifest that commits them.

A checkpoint is built under a hidden name in the same directory; its manifest is written last; then
the directory is renamed and its parent synced. So what stands at a final path is whole. Two are
kept, and a third while the newest is being committed. No pickle: JSON and safetensors only.

Of what lies there only what was written here is removed: files of these names in folders of these
names. Whatever else somebody put there stays, and so does its folder.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import RunDirError, TaskDiscoveryError, first_line
from taskdiscovery.runtime.budget import room
from taskdiscovery.store import manifest
from taskdiscovery.store.place import Place
from taskdiscovery.store.segments import segments_in
from taskdiscovery.store.writing import (
    is_left_over,
    json_bytes,
    remove_leftovers,
    resources,
    write_bytes,
)

STATE, ARRAYS = "state.json", "arrays.safetensors"
BUILDING = ".building-"
_OWN = (STATE, ARRAYS, manifest.NAME)
_NUMBER = re.compile(r"\d{6,9}", re.ASCII)
_HIDDEN = re.compile(rf"{re.escape(BUILDING)}(old-)?\d{{6,12}}", re.ASCII)
#: bytes of a state: JSON of what is finished; arrays may take what memory there is.
_MOST = 2**24
_LOG = logging.getLogger("taskdiscovery")

Arrays = dict[str, NDArray[Any]]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie, within a run or named by the caller; made by the first `save`.
        keep: how many to keep, at least two.

    Attributes:
        place: the same folder; segments of finished work lie beside the checkpoints.
    """

    def __init__(self, folder: Place | Path, keep: int = 2) -> None:
        if isinstance(folder, Path):
            folder = Place(folder.parent, (folder.name,))
        self.place, self.keep = folder, max(2, keep)

    @property
    def folder(self) -> Path:
        """The path of the folder, for messages."""
        return self.place.path

    def numbers(self) -> list[int]:
        """Return the numbers of all committed checkpoints, rising.

        Raises:
            RunDirError: where their folder is a link, or none.
        """
        return sorted(int(name) for name in self.place.names() if _NUMBER.fullmatch(name))

    def save(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> int:
        """Commit a checkpoint; return its number.

        Args:
            state: what JSON can hold.
            arrays: by name.

        Raises:
            ResourceError: where it cannot be written; the earlier ones are untouched.
            RunDirError: where the folder is a link.
        """
        from safetensors.numpy import save as to_bytes

        with resources(self.folder):
            number = (self.numbers() or [0])[-1] + 1
        name = f"{BUILDING}{number:06d}"
        building = self.place.inside(name)
        try:
            with resources(self.folder):
                self.place.make()
                self._clear(name)
                building.make(durable=False)
                write_bytes(building, STATE, json_bytes(state))
                contiguous = {key: np.asarray(array, order="C") for key, array in arrays.items()}
                write_bytes(building, ARRAYS, to_bytes(contiguous))
                manifest.write(building, [STATE, ARRAYS])
                self.place.rename(name, f"{number:06d}")
        finally:
            self._clear(name)
        for old in self.numbers()[: -self.keep]:
            self._remove(old)
        return number

    def load(self) -> tuple[dict[str, Any], Arrays] | None:
        """Return the newest checkpoint that is whole; None where there never was one.

        Raises:
            RunDirError: where there are some, and all are damaged.
        """
        numbers = self.numbers()
        for number in reversed(numbers):
            found = self.problem(number)
            if found is None:
                try:
                    return self.read(number)
                except Exception as error:  # hostile files raise errors of every kind
                    found = first_line(error)
            _LOG.warning("checkpoint %06d is damaged (%s), the one before is tried", number, found)
        if not numbers:
            return None
        raise RunDirError(
            f"all {len(numbers)} checkpoints are damaged",
            where=str(self.folder),
            hint="restore one from a copy, or give the job up: taskdiscovery discard RUN",
        )

    def problem(self, number: int) -> str | None:
        """Say what is wrong with a checkpoint, or None."""
        place = self.place.inside(f"{number:06d}")
        try:
            entries = manifest.read(place)
        except Exception as error:  # hostile files raise errors of every kind
            return f"{manifest.NAME}: {first_line(error)}"
        if set(entries) != {STATE, ARRAYS}:
            return f"{manifest.NAME}: missing or incomplete"
        for name in entries:
            found = manifest.problem(place, name, entries)
            if found is not None:
                return f"{name}: {found}"
        return None

    def remove_all(self) -> None:
        """Remove all checkpoints: their job is done."""
        for number in self.numbers():
            self._remove(number)
        for name in segments_in(self.place):
            self.place.remove(name)
        self.remove_leftovers()
        self.place.remove_itself()

    def remove_leftovers(self) -> None:
        """Remove what a process left behind that died while it was saving."""
        for name in filter(_HIDDEN.fullmatch, self.place.names()):
            self._clear(name)
        remove_leftovers(self.place)

    def _remove(self, number: int) -> None:
        # Under a hidden name first, so that no half of it ever stands at a final path.
        hidden = f"{BUILDING}old-{number:06d}"
        try:
            self.place.rename(f"{number:06d}", hidden)
        except OSError:
            return
        self._clear(hidden)

    def _clear(self, name: str) -> None:
        """Remove a folder of ours, and in it what was written here; as far as that goes."""
        place = self.place.inside(name)
        try:
            for own in place.names():
                if own in _OWN or is_left_over(own):
                    place.remove(own)
            place.remove_itself()
        except (OSError, TaskDiscoveryError):  # not a folder of ours
            return

    def read(self, number: int) -> tuple[dict[str, Any], Arrays]:
        """Return the state and the arrays of a checkpoint, which is not checked before.

        Raises:
            ValueError: where it cannot be understood.
            Exception: of many kinds, for a hostile one.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load as from_bytes

        place = self.place.inside(f"{number:06d}")
        state = json.loads(place.read(STATE, most=_MOST).decode("utf-8"))
        if not isinstance(state, dict):
            raise ValueError(f"{STATE} is no mapping")
        try:
            return state, dict(from_bytes(place.read(ARRAYS, most=room())))
        except SafetensorError as error:
            raise ValueError(f"{ARRAYS}: {error}") from error
