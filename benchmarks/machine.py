"""What this machine gives: its measured peaks, memory, time."""

from __future__ import annotations

import ctypes
import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery.runtime import hardware

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16}


def own_process(threads: int | None) -> int:
    """Set threads and allocator for the rest of this process, as the command line does.

    Args:
        threads: how many; None for a thread a core.

    Returns:
        The number of threads.
    """
    count = threads or hardware.cpu_cores()
    torch.set_num_threads(count)
    hardware.keep_freed_memory()
    return count


def product_peak(precision: str, device: str) -> float:
    """Return the floating-point operations per second of the best of a few matrix products."""
    dtype, best = DTYPES[precision], 0.0
    sizes = [(2048, 2048, 2048), (4096, 1152, 512)] if device == "cpu" else [(8192, 8192, 8192)]
    for m, k, n in sizes:
        a = torch.randn(m, k, device=device).to(dtype)
        b = torch.randn(k, n, device=device).to(dtype)
        took = [seconds(partial(torch.mm, a, b), device) for _ in range(6)]
        best = max(best, 2 * m * k * n / min(took))
    return best


def convolutions(
    network: nn.Module, batch: int, shape: tuple[int, int, int], precision: str, device: str
) -> Callable[[], None]:
    """Return what does the convolutions of a network alone, forward and backward.

    The same shapes, channels-last, on operands that lie ready in the precision; the first layer's
    derivative by the images is left out, as in training.
    """
    dtype, seen = DTYPES[precision], []
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks = [
        layer.register_forward_hook(lambda m, inputs, _: seen.append((m, inputs[0].shape)))
        for layer in layers
    ]
    network.eval()
    with torch.no_grad():
        network(torch.zeros(batch, shape[2], *shape[:2], device=device))
    for hook in hooks:
        hook.remove()
    network.train()
    work: list[tuple[Tensor, Tensor, nn.Conv2d, Tensor]] = []
    for i, (layer, size) in enumerate(seen):
        x = torch.randn(size, device=device).to(dtype).to(memory_format=torch.channels_last)
        weight = layer.weight.detach().to(dtype, copy=True).to(memory_format=torch.channels_last)
        with torch.no_grad():
            upstream = torch.randn_like(_convolve(x, weight, layer))
        work.append((x.requires_grad_(i > 0), weight.requires_grad_(), layer, upstream))

    def run() -> None:
        for x, weight, layer, upstream in work:
            wanted = [weight, x] if x.requires_grad else [weight]
            torch.autograd.grad(_convolve(x, weight, layer), wanted, upstream)

    return run


def _convolve(x: Tensor, weight: Tensor, layer: nn.Conv2d) -> Tensor:
    return F.conv2d(x, weight, stride=layer.stride, padding=layer.padding)


def seconds(work: Callable[[], Any], device: str = "cpu") -> float:
    """Time one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def peak_memory(work: Callable[[], Any], device: str = "cpu") -> int:
    """Return the bytes that the work holds at most, beyond what was held before it."""
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/self/status")


@contextmanager
def usual_allocator() -> Iterator[None]:
    """Let the C library give large blocks back, as it does in a program that is not ours.

    The thresholds are those that glibc arrives at by itself.
    """
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**25)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**26)
    try:
        yield
    finally:
        hardware.keep_freed_memory()


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


@dataclass
class Side:
    """One way to do the work of a case, and what was measured of it."""

    work: Callable[[], Any]
    device: str = "cpu"
    plain: bool = False
    memory: int = 0
    times: list[float] = field(default_factory=list)

    def warm_up(self) -> None:
        """Do it once, for its peak memory, and for what is done only the first time."""
        with usual_allocator() if self.plain else nullcontext():
            self.memory = peak_memory(self.work, self.device)

    def time(self) -> None:
        """Do it once more, and note how long it took."""
        with usual_allocator() if self.plain else nullcontext():
            self.times.append(seconds(self.work, self.device))

    @property
    def seconds(self) -> float:
        """The median."""
        return float(np.median(self.times))


def alternate(sides: Sequence[Side], rounds: int, enough: float = math.inf) -> None:
    """Warm all up, then time them in turn in every round, so that all meet the same noise.

    Args:
        sides: what is timed.
        rounds: how many at most.
        enough: seconds that the rounds may take together; the first one is always done.
    """
    for side in sides:
        side.warm_up()
    began = time.perf_counter()
    for done in range(1, rounds + 1):
        for side in sides:
            side.time()
        if (time.perf_counter() - began) * (done + 1) / done > enough:
            break


def ratio(plain: Side, other: Side) -> float:
    """Return how many times faster the other is: the median over rounds."""
    return float(np.median([a / b for a, b in zip(plain.times, other.times, strict=True)]))
