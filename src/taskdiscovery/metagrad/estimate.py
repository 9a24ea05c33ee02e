"""What a meta-gradient will cost, from one step of it: measured before a long job begins."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from taskdiscovery.metagrad.engine import MEMORY
from taskdiscovery.metagrad.rules import State, Tree
from taskdiscovery.metagrad.steps import Step
from taskdiscovery.runtime.device_memory import available_memory


@dataclass(frozen=True)
class Estimate:
    """Cost of one meta-gradient, for each choice of what is kept.

    Attributes:
        seconds: by choice of memory.
        memory: bytes beside the inputs, by choice of memory.
        available: bytes that are free now.
    """

    seconds: dict[str, float]
    memory: dict[str, int]
    available: int

    def cheapest(
        self, share: float = 0.6, *, promised: int = 0, among: Sequence[str] = MEMORY
    ) -> str:
        """Return the fastest choice that fits in a share of the free memory.

        That is the first of `MEMORY`: kept graphs do the least arithmetic. The seconds measured
        here do not decide, for choices differ in their last bits, and the same command must give
        the same numbers whatever the clock said.

        Args:
            share: of the free memory.
            promised: bytes of it that something else will take.
            among: choices to choose from, the fastest first; the last one is taken if none fits.
        """
        room = share * max(0, self.available - promised)
        fit = [choice for choice in among if self.memory[choice] <= room]
        return fit[0] if fit else among[-1]


def estimate(step: Step, params: Tree, inputs: Sequence[Tree]) -> Estimate:
    """Measure one step forwards and backwards.

    Args:
        step, params, inputs: as for `metagrad`; only the first entry of the inputs is used.

    Returns:
        Seconds and bytes of the whole gradient: T steps, without the outer loss.
    """
    T = len(inputs) - 1
    device = _tensors(params)[0].device
    state = State(*tree_map(torch.detach, step.init(params)))
    kept = sum(x.numel() * x.element_size() for x in tree_flatten(state)[0])
    known = {x.untyped_storage().data_ptr() for x in _tensors((state, list(inputs)))}
    with saved_storages(known) as storages:
        after, tape = step.forward(0, state, inputs[0], graph=True)
    costate = tree_map(torch.zeros_like, after)
    tape.pullback(costate, curvature=True)
    graph = sum(storages.values())
    del tape

    def now() -> float:
        if device.type == "cuda":  # which works on while the clock is read
            torch.cuda.synchronize(device)
        return time.perf_counter()

    def timed(graph: bool) -> tuple[float, float]:
        began = now()
        _, tape = step.forward(0, state, inputs[0], graph=graph)
        between = now()
        tape.pullback(costate, curvature=True)
        return between - began, now() - between

    timed(False)  # first calls are slow; those with a graph were warmed up above
    forward, back = timed(True)
    plain, product = timed(False)
    stride = max(1, round(T**0.5))
    return Estimate(
        seconds={
            "graphs": T * (forward + back),
            "store": T * (plain + product),
            "recompute": T * (2 * plain + product),
        },
        memory={
            "graphs": T * (graph + kept),
            "store": T * kept + graph,
            "recompute": (stride + -(-T // stride)) * kept + graph,
        },
        available=available_memory(device),
    )


@contextmanager
def saved_storages(known: Collection[int]) -> Iterator[dict[int, int]]:
    """Note what autograd keeps of the work within the block: bytes, by the place of the storage.

    Args:
        known: places of storages that are there anyway.
    """
    storages: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in known:
            storages[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        yield storages


def _tensors(tree: Tree) -> list[Tensor]:
    return [x for x in tree_flatten(tree)[0] if isinstance(x, Tensor)]
