"""Tensors as the arrays that a checkpoint keeps, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def weights(model: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """Return all parameters and buffers as arrays."""
    return {k: to_numpy(v) for k, v in model.state_dict().items()}


def set_weights(model: nn.Module, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Set them to what `weights` returned."""
    own = model.state_dict()
    model.load_state_dict({k: like(arrays[k], own[k]) for k in own})


def to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    """Return a copy as an array; bfloat16 as the int16 of its bits."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type
        tensor = tensor.view(torch.int16)
    return tensor.numpy().copy()


def like(array: np.ndarray[Any, Any], tensor: Tensor) -> Tensor:
    """Return an array of `to_numpy` with the device of a tensor, and bfloat16 where it is.

    Raises:
        ValueError: where it has another shape or type than the tensor.
    """
    found = torch.from_numpy(array.copy())
    if tensor.dtype == torch.bfloat16:
        found = found.view(torch.bfloat16)
    if found.shape != tensor.shape or found.dtype != tensor.dtype:
        raise ValueError(f"{tuple(found.shape)} in place of {tuple(tensor.shape)}")
    return found.to(tensor.device)
