"""Checkpoints: `checkpoints/000120/` with a state, arrays and a manifest that commits them.

A checkpoint is built under a hidden name in the same directory; its manifest is written last; then
the directory is renamed and its parent synced. So what stands at a final path is whole. Two are
kept, and a third while the newest is being committed. No pickle: JSON and safetensors only.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import RunDirError, first_line
from taskdiscovery.runtime.disk import sync_directory
from taskdiscovery.store import manifest
from taskdiscovery.store.writing import json_bytes, resource_error, write_bytes

STATE, ARRAYS = "state.json", "arrays.safetensors"
BUILDING = ".building-"
_LOG = logging.getLogger("taskdiscovery")

Arrays = dict[str, NDArray[Any]]


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they lie; made by the first `save`.
        keep: how many to keep, at least two.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, max(2, keep)

    def numbers(self) -> list[int]:
        """Return the numbers of all committed checkpoints, rising."""
        if not self.folder.is_dir():
            return []
        return sorted(int(p.name) for p in self.folder.iterdir() if p.name.isdigit())

    def save(self, state: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> int:
        """Commit a checkpoint; return its number.

        Args:
            state: what JSON can hold.
            arrays: by name.

        Raises:
            ResourceError: where it cannot be written; the earlier ones are untouched.
        """
        from safetensors.numpy import save as to_bytes

        number = (self.numbers() or [0])[-1] + 1
        building = self.folder / f"{BUILDING}{number:06d}"
        try:
            if not self.folder.is_dir():
                self.folder.mkdir()
                sync_directory(self.folder.parent)
            shutil.rmtree(building, ignore_errors=True)
            building.mkdir()
            write_bytes(building / STATE, json_bytes(state))
            contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
            write_bytes(building / ARRAYS, to_bytes(contiguous))
            manifest.write(building, [STATE, ARRAYS])
            building.rename(self.folder / f"{number:06d}")
            sync_directory(self.folder)
        except OSError as error:
            raise resource_error(error, self.folder) from error
        finally:
            shutil.rmtree(building, ignore_errors=True)
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
                    return self._read(number)
                except Exception as error:  # hostile files raise errors of every kind
                    found = first_line(error)
            _LOG.warning("checkpoint %06d is damaged (%s), the one before is tried", number, found)
        if not numbers:
            return None
        raise RunDirError(
            f"all {len(numbers)} checkpoints are damaged",
            where=str(self.folder),
            hint="restore one from a copy, or begin again with another --out",
        )

    def problem(self, number: int) -> str | None:
        """Say what is wrong with a checkpoint, or None."""
        folder = self.folder / f"{number:06d}"
        try:
            entries = manifest.read(folder)
        except Exception as error:  # hostile files raise errors of every kind
            return f"{manifest.NAME}: {first_line(error)}"
        if not {STATE, ARRAYS} <= set(entries):
            return f"{manifest.NAME}: missing or incomplete"
        for name in entries:
            found = manifest.problem(folder, name, entries)
            if found is not None:
                return f"{name}: {found}"
        return None

    def remove_all(self) -> None:
        """Remove all checkpoints: their job is done."""
        for number in self.numbers():
            self._remove(number)
        shutil.rmtree(self.folder, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Remove what a process left behind that died while it was saving."""
        if self.folder.is_dir():
            for leftover in self.folder.glob(f"{BUILDING}*"):
                shutil.rmtree(leftover, ignore_errors=True)

    def _remove(self, number: int) -> None:
        # Under a hidden name first, so that no half of it ever stands at a final path.
        folder, hidden = self.folder / f"{number:06d}", self.folder / f"{BUILDING}old-{number:06d}"
        try:
            folder.rename(hidden)
        except OSError:
            return
        shutil.rmtree(hidden, ignore_errors=True)

    def _read(self, number: int) -> tuple[dict[str, Any], Arrays]:
        from safetensors import SafetensorError
        from safetensors.numpy import load as from_bytes

        folder = self.folder / f"{number:06d}"
        state = json.loads((folder / STATE).read_text("utf-8"))
        if not isinstance(state, dict):
            raise ValueError(f"{STATE} is no mapping")
        try:
            return state, dict(from_bytes((folder / ARRAYS).read_bytes()))
        except SafetensorError as error:
            raise ValueError(f"{ARRAYS}: {error}") from error
