"""Work that a GPU does again and again with the same tensors, launched as one CUDA graph.

A training step is hundreds of small kernels, which a processor launches more slowly than a GPU does
them. Recorded once, all of them are launched by one call. The graph reads and writes the very
tensors that were there when it was recorded: whoever calls it copies inputs into them.

On the CPU, and wherever recording fails, the same work is done as it is written.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from taskdiscovery.errors import first_line

T = TypeVar("T")
_LOG = logging.getLogger("taskdiscovery")

#: calls that are done as they are written before one is recorded: libraries prepare themselves in
#: the first ones, which must not be recorded.
WARM_UP = 2


class Captured(Generic[T]):
    """Work without arguments, recorded after its first calls and replayed from then on.

    What it reads must lie in tensors that stay where they are, and what it returns is overwritten
    by the next call. It must be called within `aside`, the first time and later. Work that draws
    random numbers on the processor is never recorded: each replay would repeat the first draw.

    Args:
        work: what is done, on tensors of one device.
        device: where.
        wanted: whether it may be recorded at all.
        unchanged: makes what must be the same before and after the work: a graph would not change
            it. What is drawn on the processor is always looked at.
        pool: memory shared with other graphs, none of which runs at the same time and none of
            which needs what another returned; see `memory_pool`.
    """

    def __init__(
        self,
        work: Callable[[], T],
        device: torch.device | str,
        *,
        wanted: bool = True,
        pool: Any = None,
        unchanged: Callable[[], Any] | None = None,
    ) -> None:
        self.work, self.pool, self.unchanged = work, pool, unchanged
        self.wanted = wanted and torch.device(device).type == "cuda"
        self.graph: Any = None
        self._calls = 0
        self._result: T | None = None

    def __call__(self) -> T:
        """Do the work, or replay it."""
        if self.graph is not None:
            self.graph.replay()
            assert self._result is not None
            return self._result
        if not self.wanted:
            return self.work()
        if self._calls < WARM_UP:
            self._calls += 1
            draws, others = _host_draws(), self.unchanged() if self.unchanged else None
            result = self.work()
            if _host_draws() != draws:
                self._give_up("it draws random numbers on the processor")
            elif self.unchanged and self.unchanged() != others:
                self._give_up("it changes what is no tensor")
            return result
        try:
            self._result, self.graph = record(self.work, self.pool)
        except Exception as error:  # operations that read a value back fail in many ways
            self._give_up(f"{type(error).__name__}: {first_line(error)[:160]}")
            return self.work()
        return self()

    def _give_up(self, reason: str) -> None:
        self.wanted = False
        _LOG.info("steps of this network are launched one kernel at a time: %s", reason)


def record(work: Callable[[], T], pool: Any = None) -> tuple[T, Any]:
    """Record work on the current stream as a CUDA graph, without doing it; return its result.

    Raises:
        RuntimeError: where the work does something that cannot be recorded.
    """
    graph = torch.cuda.CUDAGraph()
    # Threads of the user's (a data loader that pins memory) may go on meanwhile.
    with torch.cuda.graph(
        graph,
        pool=pool,
        stream=torch.cuda.current_stream(),
        capture_error_mode="thread_local",
    ):
        result = work()
    return result, graph


def memory_pool(device: torch.device | str) -> Any:
    """Return a handle of memory that graphs may share; None on the CPU."""
    return torch.cuda.graph_pool_handle() if torch.device(device).type == "cuda" else None


@contextmanager
def aside(device: torch.device | str) -> Iterator[None]:
    """Work on a stream of its own within the block, after all that was asked for before it.

    A graph cannot be recorded on the default stream, and what warms up for it must be done on the
    stream that it is recorded on.
    """
    device = torch.device(device)
    if device.type != "cuda":
        yield
        return
    with torch.cuda.device(device):
        outside = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(outside)
        try:
            with torch.cuda.stream(stream):
                yield
        finally:
            outside.wait_stream(stream)


def _host_draws() -> tuple[Any, ...]:
    """Return what changes with any draw on the processor."""
    kind, keys, position, *_ = np.random.get_state()
    del kind
    torchs = torch.get_rng_state().numpy().tobytes()
    return hash(random.getstate()), np.asarray(keys).tobytes(), position, torchs
