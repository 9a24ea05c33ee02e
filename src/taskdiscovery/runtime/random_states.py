"""The global random states: private to a training, and saved with it.

The package draws from generators of its own. A user's network may use the global ones (dropout,
stochastic depth), so a training sets them from its seed and puts them back when it ends.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from taskdiscovery.runtime.seeds import derive

Arrays = dict[str, np.ndarray[Any, Any]]


@contextmanager
def private(seed: int) -> Iterator[None]:
    """Draw from `seed` within the block, wherever the draw comes from; then as if nothing was."""
    before = capture()
    try:
        random.seed(derive(seed, "python"))
        np.random.seed(derive(seed, "numpy") % 2**32)
        torch.manual_seed(derive(seed, "torch"))
        yield
    finally:
        restore(before)


def capture() -> Arrays:
    """Return the states of Python, NumPy, torch and each CUDA device."""
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    del kind, version  # always the Mersenne Twister
    states: Arrays = {
        "python": np.array(numbers, dtype=np.uint64),
        "python_gauss": np.array([] if gauss is None else [gauss], dtype=np.float64),
        "numpy": np.asarray(keys, dtype=np.uint32),
        "numpy_position": np.array([position, has_gauss], dtype=np.int64),
        "numpy_gauss": np.array([cached], dtype=np.float64),
        "torch": torch.get_rng_state().numpy().copy(),
    }
    if torch.cuda.is_available():
        for i, state in enumerate(torch.cuda.get_rng_state_all()):
            states[f"cuda_{i}"] = state.numpy().copy()
    return states


def restore(states: Arrays) -> None:
    """Set them to what `capture` returned."""
    gauss = states["python_gauss"]
    random.setstate(
        (3, tuple(int(n) for n in states["python"]), float(gauss[0]) if len(gauss) else None)
    )
    position, has_gauss = (int(n) for n in states["numpy_position"])
    np.random.set_state(
        ("MT19937", states["numpy"], position, has_gauss, float(states["numpy_gauss"][0]))
    )
    torch.set_rng_state(torch.from_numpy(states["torch"].copy()))
    for i in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        if f"cuda_{i}" in states:
            torch.cuda.set_rng_state(torch.from_numpy(states[f"cuda_{i}"].copy()), i)
