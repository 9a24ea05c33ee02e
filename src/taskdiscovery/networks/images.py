"""Images as tensors: shared with NumPy, and gathered fast.

Images are uint8 (N, H, W, channels), on the CPU memory-mapped or in memory, on a GPU resident.
"""

from __future__ import annotations

import warnings
from typing import Protocol

import torch
from torch import Tensor

from taskdiscovery.types import ImageArray, Matrix


def to_tensor(images: Matrix | ImageArray, device: str) -> Tensor:
    """Share the images with torch without a copy on the CPU; make them resident on a GPU."""
    with warnings.catch_warnings():
        # Read-only memory (a mapped file, an object store) is not written to.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images).to(device)


class Takes(Protocol):
    """Images that lie elsewhere, of which some can be had: see `networks.placing`."""

    def take(self, rows: Tensor) -> Tensor:
        """Return the images of some rows."""
        ...


def take(images: Tensor | Takes, rows: Tensor) -> Tensor:
    """Return the images of some rows.

    On the CPU torch gathers bytes one by one; eight at a time take a sixteenth of the time.
    """
    if not isinstance(images, Tensor):
        return images.take(rows)
    size = images[0].numel() if len(images) else 0
    whole = images.dtype == torch.uint8 and images.is_contiguous() and images.device.type == "cpu"
    if not whole or size % 8 or images.storage_offset() % 8 or images.data_ptr() % 8:
        return images.index_select(0, rows)
    words = images.view(len(images), size).view(torch.int64).index_select(0, rows)
    return words.view(torch.uint8).view(len(rows), *images.shape[1:])
