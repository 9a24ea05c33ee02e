"""The global random states: private to a training, and saved with it.

The package draws from generators of its own. A user's network may use the global ones (dropout,
stochastic depth, initial weights), so what uses it sets them from its seed and puts them back.

Of cards, those are meant that the caller names, or else those that this process has begun to use:
to ask another for its state would begin to use it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from taskdiscovery.runtime import devices
from taskdiscovery.runtime.seeds import derive

Arrays = dict[str, np.ndarray[Any, Any]]


@contextmanager
def private(seed: int, device: str | None = None) -> Iterator[None]:
    """Draw from `seed` within the block, wherever the draw comes from; then as if nothing was.

    Args:
        seed: of what is done in the block.
        device: where that is; None for wherever this process computes.
    """
    before = capture(device)
    try:
        random.seed(derive(seed, "python"))
        np.random.seed(derive(seed, "numpy") % 2**32)
        reseed(derive(seed, "torch"), device)
        yield
    finally:
        restore(before)


@contextmanager
def private_torch(seed: int, device: str | None = None) -> Iterator[None]:
    """Let torch draw from `seed` within the block, and go on as before after it.

    Args:
        seed: that torch is given as it is.
        device: where weights may be drawn beside the processor; None for wherever this process
            computes.
    """
    before = _torch_states(device)
    try:
        reseed(seed, device)
        yield
    finally:
        _set_torch_states(before)


def reseed(seed: int, device: str | None = None) -> None:
    """Set torch's generators. Unlike `torch.manual_seed` it leaves alone what is not in use.

    Args:
        seed: of all of them.
        device: beside the processor; None for wherever this process computes.
    """
    torch.default_generator.manual_seed(seed)
    for card in _in_use(device):
        torch.cuda.default_generators[card].manual_seed(seed)


def capture(device: str | None = None) -> Arrays:
    """Return the states of Python, NumPy and torch.

    Args:
        device: beside the processor; None for wherever this process computes.
    """
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    del kind, version  # always the Mersenne Twister
    states: Arrays = {
        "python": np.array(numbers, dtype=np.uint64),
        "python_gauss": np.array([] if gauss is None else [gauss], dtype=np.float64),
        "numpy": np.asarray(keys, dtype=np.uint32),
        "numpy_position": np.array([position, has_gauss], dtype=np.int64),
        "numpy_gauss": np.array([cached], dtype=np.float64),
    }
    return states | _torch_states(device)


def restore(states: Arrays) -> None:
    """Set them to what `capture` returned; of cards, those that are here and were in use there."""
    gauss = states["python_gauss"]
    random.setstate(
        (3, tuple(int(n) for n in states["python"]), float(gauss[0]) if len(gauss) else None)
    )
    position, has_gauss = (int(n) for n in states["numpy_position"])
    np.random.set_state(
        ("MT19937", states["numpy"], position, has_gauss, float(states["numpy_gauss"][0]))
    )
    _set_torch_states(states)


def _torch_states(device: str | None) -> Arrays:
    states = {"torch": torch.get_rng_state().numpy().copy()}
    for card in _in_use(device):
        states[f"cuda_{card}"] = torch.cuda.get_rng_state(card).numpy().copy()
    return states


def _set_torch_states(states: Arrays) -> None:
    torch.set_rng_state(torch.from_numpy(states["torch"].copy()))
    for card in range(len(torch.cuda.default_generators)):  # none, until a card is used
        if f"cuda_{card}" in states:
            torch.cuda.set_rng_state(torch.from_numpy(states[f"cuda_{card}"].copy()), card)


def _in_use(device: str | None) -> list[int]:
    """Return the cards that are meant, by number."""
    cuda: Any = torch.cuda
    if device is None:
        return list(range(cuda.device_count())) if cuda.is_initialized() else []
    if not devices.is_cuda(device):
        return []
    cuda.init()
    number = devices.number_of(device)
    return [cuda.current_device() if number is None else number]
