"""What is known of each case, a file each: a study goes on where it was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Arrays by key, e.g. `shift mlp 0`, in one folder."""

    place: Path

    def known(self, key: str, make: Callable[[], Arrays]) -> Arrays:
        """Return what is known under a key, or make it and keep it."""
        file = self.place / f"{key}.npz"
        if not file.exists():
            self.place.mkdir(parents=True, exist_ok=True)
            written = file.with_suffix(f".{os.getpid()}.tmp")
            with written.open("wb") as stream:
                np.savez_compressed(stream, **make())  # type: ignore[arg-type]
            written.replace(file)
        with np.load(file) as arrays:
            return dict(arrays)

    def all(self, kind: str) -> Iterator[tuple[str, Arrays]]:
        """Yield the keys whose first word is this, with what is known, in order."""
        for file in sorted(self.place.glob(f"{kind} *.npz")):
            with np.load(file) as arrays:
                yield file.stem, dict(arrays)
