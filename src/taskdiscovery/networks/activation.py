"""What follows a convolution: batch norm, an addition, ReLU; on a GPU fused while a network trains.

Source of the fused kernels: `networks.fused_norm`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from taskdiscovery.errors import first_line

_LOG = logging.getLogger("taskdiscovery")

#: whether networks may fuse now; plain, so that a compiler can look through it.
_fused = False


@contextmanager
def fused_norms(device: torch.device | str) -> Iterator[None]:
    """Fuse batch norms with what follows them within the block, where the device can.

    For training alone: the fused ones have one derivative, and not two.
    """
    global _fused
    before, _fused = _fused, torch.device(device).type == "cuda" and _usable(str(device))
    try:
        yield
    finally:
        _fused = before


@cache
def _usable(device: str) -> bool:
    """Say whether the kernels can be compiled for a GPU, and do there what the modules do."""
    if find_spec("triton") is None or torch.cuda.get_device_capability(device)[0] < 8:
        return False
    from taskdiscovery.networks import fused_norm

    try:
        works = fused_norm.works(device)
    except Exception as error:  # compilers fail in many ways
        _LOG.info("batch norms are not fused on %s: %s", device, first_line(error)[:160])
        return False
    if not works:
        _LOG.warning("batch norms are not fused on %s: the kernels give other results", device)
    return works


def activated(x: Tensor, norm: nn.Module, relu: nn.Module, added: Tensor | None = None) -> Tensor:
    """Return relu(norm(x) + added).

    Args:
        x: (N, C, H, W).
        norm: a batch norm over C.
        relu: the activation.
        added: of the same shape; None for nothing.
    """
    if _fused and _fusable(x, norm, relu, added):
        from taskdiscovery.networks import fused_norm

        assert isinstance(norm, nn.BatchNorm2d)
        return fused_norm.activated(x, norm, added)
    y = norm(x)
    y = relu(y if added is None else y + added)
    assert isinstance(y, Tensor)
    return y


def _fusable(x: Tensor, norm: nn.Module, relu: nn.Module, added: Tensor | None) -> bool:
    """Say whether the fused kernels do what these modules would do."""
    return (
        type(norm) is nn.BatchNorm2d
        and type(relu) is nn.ReLU
        and norm.training
        and norm.affine
        and norm.running_mean is not None
        and norm.momentum is not None
        and not (norm._forward_hooks or norm._forward_pre_hooks or relu._forward_hooks)
        and x.dtype in (torch.bfloat16, torch.float32)
        and x.is_contiguous(memory_format=torch.channels_last)
        and (added is None or _same(x, added))
    )


def _same(x: Tensor, added: Tensor) -> bool:
    laid_out = added.is_contiguous(memory_format=torch.channels_last)
    return added.shape == x.shape and added.dtype == x.dtype and laid_out
