"""Decisions that depend on the machine, taken once and written to the config."""

from __future__ import annotations

import os

import torch

from taskdiscovery import ranks
from taskdiscovery.errors import ConfigError


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
    if precision != "auto":
        return precision
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        native = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return "bf16" if native else "float32"


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
    if there > 1 and executor != "serial":
        raise ConfigError(
            "a Ray cluster and ranks do not go together",
            where=f"--executor {executor}, under torchrun",
            mend="use one of the two",
        )
    ranks.join()
    return there


def set_threads(threads: int | None) -> int:
    """Use so many CPU threads; by default all that the process may run on. Return how many.

    Ranks on one machine share it out.
    """
    neighbours = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    chosen = threads or max(1, len(os.sched_getaffinity(0)) // neighbours)
    torch.set_num_threads(chosen)
    return chosen
