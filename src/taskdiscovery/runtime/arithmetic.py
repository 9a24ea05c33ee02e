"""How a GPU multiplies: float32 as float32, and the same bits in every run.

By default PyTorch lets convolutions round float32 to the 10 bits of TF32. Where labels are drawn or
results promise float32, they must not; while networks train, they may, and results say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def ieee(device: torch.device | str) -> Iterator[None]:
    """Multiply float32 as float32 within the block, convolutions and matrix products alike."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    if torch.device(device).type != "cuda":
        yield
        return
    with _set((cudnn, "allow_tf32", False), (products, "allow_tf32", False)):
        yield


@contextmanager
def repeatable(device: torch.device | str) -> Iterator[None]:
    """Take only algorithms of cuDNN that give the same bits again, chosen without a clock."""
    cudnn = torch.backends.cudnn
    if torch.device(device).type != "cuda":
        yield
        return
    with _set((cudnn, "benchmark", False), (cudnn, "deterministic", True)):
        yield


@contextmanager
def usual() -> Iterator[None]:
    """Multiply as torch does when it is imported within the block, whatever was set before.

    Float32 as float32, but convolutions of a GPU as TF32; algorithms chosen without a clock.
    """
    cudnn, owners = torch.backends.cudnn, _owners()
    new = [(owner, owner.fp32_precision) for owner in owners]
    known, benchmark = _legacy(), cudnn.benchmark
    torch.set_float32_matmul_precision("highest")
    cudnn.allow_tf32, cudnn.benchmark = True, False
    for owner in owners:
        if owner.fp32_precision == "bf16":  # of oneDNN's convolutions, which have no other switch
            owner.fp32_precision = "ieee"
    try:
        yield
    finally:
        if known is not None:
            torch.set_float32_matmul_precision(known[0])
            cudnn.allow_tf32 = known[1]
        for owner, precision in new:
            if owner.fp32_precision != precision:
                owner.fp32_precision = precision
        cudnn.benchmark = benchmark


def _legacy() -> tuple[str, bool] | None:
    """Return the older switches; None where newer ones were set, which forbid to read these."""
    try:
        return torch.get_float32_matmul_precision(), bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return None


def _owners() -> list[Any]:
    """Return what has a switch of the newer kind, which older versions of torch lack."""
    backends: Any = torch.backends
    places = (
        (backends.cuda, "matmul"),
        *((backends.cudnn, part) for part in ("conv", "rnn")),
        *((backends.mkldnn, part) for part in ("matmul", "conv", "rnn")),
    )
    found = (getattr(place, part, None) for place, part in places)
    return [owner for owner in found if hasattr(owner, "fp32_precision")]


@contextmanager
def _set(*switches: tuple[Any, str, bool]) -> Iterator[None]:
    """Set switches of torch while the block runs."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in switches]
    try:
        for owner, name, value in switches:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
