"""Decisions that depend on the machine, taken once and written to the config."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
from dataclasses import replace
from functools import cache
from typing import TypeVar

import torch

from taskdiscovery import networks, ranks
from taskdiscovery.config import WorkConfig
from taskdiscovery.errors import ConfigError
from taskdiscovery.training.learner import Learner, Pixels

W = TypeVar("W", bound=WorkConfig)
_LOG = logging.getLogger("taskdiscovery")

#: floating-point operations per second and core, roughly; nothing but a choice depends on it.
SPEED = {"bf16": 2e11, "float32": 1e11}
#: seconds of all cores below which starting processes costs more than it saves.
WORTH = 20.0
#: seconds of a training above which it is to be saved on the way, which this process alone does.
LONG = 120.0
#: bytes of memory that a process is taken to need.
NEEDED = 1.5e9


def resolve_device(device: str) -> str:
    """Turn `auto` into `cuda` where there is one, else `cpu`.

    Raises:
        ConfigError: where `cuda` is asked for and absent.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError(
            "no CUDA device is available", where="--device cuda", mend="use --device cpu or auto"
        )
    return ("cuda" if available else "cpu") if device == "auto" else device


def resolve_precision(precision: str, device: str) -> str:
    """Turn `auto` into `bf16` where the hardware multiplies it natively, else `float32`."""
    native = _native_bf16(device) if precision != "float32" else False
    if precision == "bf16" and not native:
        _LOG.warning(
            "this %s does not multiply bf16 itself: training takes many times as long as with "
            "--precision float32",
            "GPU" if device == "cuda" else "processor",
        )
    if precision != "auto":
        return precision
    return "bf16" if native else "float32"


def _native_bf16(device: str) -> bool:
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(_bf16_units())


@cache
def _bf16_units() -> tuple[bool, bool]:
    """Say whether the processor multiplies bf16 with AVX-512, and with AMX."""
    avx512, amx = (
        bool(getattr(torch.cpu, probe, lambda: False)())
        for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return avx512, amx


def gains_by_products(device: str, precision: str) -> bool:
    """Say whether convolutions may find their weights' derivative by matrix products.

    Only where that was measured to be faster: bf16, AVX-512 without AMX.
    """
    return device == "cpu" and precision == "bf16" and _bf16_units() == (True, False)


def resolve_ranks(wanted: int | None, executor: str) -> int:
    """Return how many processes share the work, and connect to them.

    Raises:
        ConfigError: where another number was started, or a Ray cluster is asked for as well.
        WorkerError: where they do not answer.
    """
    there = ranks.size()
    if wanted is not None and wanted != there:
        raise ConfigError(
            f"{wanted} ranks are asked for, {there} were started",
            where="--ranks",
            mend=f"torchrun --nproc-per-node {wanted} -m taskdiscovery …",
        )
    if there > 1 and executor not in ("serial", "auto"):
        raise ConfigError(
            "other workers and ranks do not go together",
            where=f"--executor {executor}, under torchrun",
            mend="use one of the two",
        )
    ranks.join()
    return there


def staff(
    config: W,
    learner: Learner,
    shape: tuple[int, int, int],
    *,
    pieces: int,
    passes: int,
    rounds: int = 1,
) -> W:
    """Decide who trains, how many trainings at once, and with how many threads each.

    The choice follows from the config, the network and the machine, never from a clock, so that
    the same command gives the same numbers.

    Args:
        config: device, precision and ranks are resolved.
        learner: what is trained.
        shape: (H, W, channels) of an image.
        pieces: trainings that can be done at once.
        passes: images that pass in each.
        rounds: how many times so many trainings are to be done.

    Returns:
        The config with `executor`, `jobs` and `threads`; this process takes jobs × threads.

    Raises:
        ConfigError: where processes are asked for on a GPU.
    """
    executor, jobs, cores = config.executor, config.jobs, cpu_cores()
    if executor == "processes" and config.device != "cpu":
        raise ConfigError(
            "several processes do not share a GPU well",
            where=f"--executor processes, --device {config.device}",
            mend="use --executor serial, or ray with --gpus-per-job",
        )
    if executor in ("auto", "processes"):
        at_once = jobs or max(1, min(cores // (config.threads or 1), pieces, _memory_for()))
        if executor == "auto":
            suits = config.device == "cpu" and config.ranks == 1 and at_once > 1
            seconds = _seconds(config, learner, shape, passes) if suits else 0.0
            worth = seconds * pieces * rounds / cores > WORTH and seconds * at_once / cores < LONG
            executor = "processes" if suits and (worth or jobs) else "serial"
        jobs = at_once if executor == "processes" else None
    # A job that was begun with processes and goes on without keeps the threads it had.
    threads = config.threads or max(1, cores // (jobs or 1))
    set_threads(threads * (jobs or 1))
    return replace(config, executor=executor, jobs=jobs, threads=threads)


def _seconds(
    config: WorkConfig, learner: Learner, shape: tuple[int, int, int], passes: int
) -> float:
    """Estimate how long a training takes on one core."""
    plain = Pixels((0.0,) * shape[2], (1.0,) * shape[2])
    model = learner.build(shape, 2, plain, seed=0)
    return 3 * networks.flops(model, shape) * passes / SPEED[config.precision]


def keep_freed_memory() -> None:
    """Have the C library keep large blocks that are freed.

    Activations are asked for again at the next step. By default glibc gives blocks above 32 MB back
    to the kernel at once, which zeroes every page anew: a fifth of the time of float32 training.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
            libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def _memory_for() -> int:
    """Return for how many processes there is memory."""
    try:
        with open("/proc/meminfo", encoding="ascii") as table:
            known = dict(line.split(":") for line in table)
        return max(1, int(float(known["MemAvailable"].split()[0]) * 1024 / NEEDED))
    except (OSError, KeyError, ValueError):  # no Linux
        return 4


def cpu_cores() -> int:
    """Count the cores that this process may use; ranks on one machine share them out."""
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, len(os.sched_getaffinity(0)) // neighbours)


def set_threads(threads: int | None) -> int:
    """Use so many CPU threads; by default all that the process may run on. Return how many."""
    keep_freed_memory()
    chosen = threads or cpu_cores()
    torch.set_num_threads(chosen)
    return chosen
