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
