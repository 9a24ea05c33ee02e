"""What this machine has, and settings of the process that cost or gain time.

Threads are set for the duration of a block. Keeping freed memory cannot be undone, so it is for
processes that are ours: the command line and the workers.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import multiprocessing
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

#: where Linux says which share of the cores a container may use.
CGROUPS = Path("/sys/fs/cgroup")
#: the control groups of this process: `hierarchy:controllers:path`, a line each.
OWN_GROUPS = Path("/proc/self/cgroup")


def cpu_cores() -> int:
    """Count the cores that this process may use; ranks on one machine share them out.

    A container's quota counts (3.5 cores as 4): threads beyond it wait for each other.
    """
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    usable = getattr(os, "sched_getaffinity", None)
    cores = len(usable(0)) if usable is not None else os.cpu_count() or 1
    return max(1, min([cores, *map(math.ceil, _quotas())]) // neighbours)


def _quotas() -> Iterator[float]:
    """Yield the quotas that this process is under, in cores: its group's, and those above it."""
    groups = {Path()}
    with contextlib.suppress(OSError):
        for line in OWN_GROUPS.read_text("utf-8").splitlines():
            own = Path(line.split(":", 2)[-1].lstrip("/"))
            groups |= {own, *own.parents} if ".." not in own.parts else set()
    for group in groups:
        second, first = CGROUPS / group, CGROUPS / "cpu" / group  # versions of the interface
        yield from _quota(second / "cpu.max")  # "200000 100000"; "max 100000" where there is none
        yield from _quota(first / "cpu.cfs_quota_us", first / "cpu.cfs_period_us")  # -1: none


def _quota(*files: Path) -> Iterator[float]:
    """Yield a quota in cores, if the files name one: time that may be used, and of how long."""
    with contextlib.suppress(OSError, ValueError):
        quota, period = (float(x) for file in files for x in file.read_text("ascii").split())
        if quota > 0 and period > 0:
            yield quota / period


def semaphores() -> bool:
    """Say whether processes can be given locks: not where `/dev/shm` is missing or full."""
    try:
        multiprocessing.get_context("fork").Lock()
    except ValueError:  # Windows, which has them
        return True
    except (OSError, ImportError):
        return False
    return True


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use so many CPU threads within the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def bf16_units() -> tuple[bool, bool]:
    """Say whether the processor multiplies bf16 with AVX-512, and with AMX."""
    import torch

    avx512, amx = (
        bool(getattr(torch.cpu, probe, lambda: False)())
        for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return avx512, amx


def free_memory(otherwise: int) -> int:
    """Return the bytes of memory that are free; `otherwise` where the system does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as table:
            known = dict(line.split(":") for line in table)
        return int(known["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):  # no Linux
        return otherwise


def keep_freed_memory() -> None:
    """Have the C library keep large blocks that are freed, for the rest of the process.

    Activations are asked for again at the next step. By default glibc gives blocks above 32 MB back
    to the kernel at once, which zeroes every page anew: a fifth of the time of float32 training.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(_M_MMAP_THRESHOLD, 2**30)
            libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
