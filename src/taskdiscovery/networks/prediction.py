"""Prediction, and the batch-norm statistics that it needs.

Axes: N images, K outputs. Images are uint8 tensors (N, H, W, channels).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from taskdiscovery.networks.images import take
from taskdiscovery.types import IntArray


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor, rows: IntArray, precision: str = "float32") -> None:
    """Set the statistics of all batch norms to plain averages over ten batches of these rows.

    Args:
        model: left in training mode.
        images: (N, H, W, channels) uint8 on the model's device.
        rows: images to take them from; ten batches' worth, spread over their order.
        precision: the one in which the model will be asked.
    """
    model.train()
    batch_norms = (m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    norms = [norm for norm in batch_norms if norm.training]  # frozen ones keep theirs
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches that follow
    batches = np.array_split(rows, max(1, min(10, len(rows) // PREDICTION_BATCH)))
    for batch in batches:
        chosen = torch.from_numpy(batch[:PREDICTION_BATCH]).to(images.device)
        with autocast(images.device.type, precision):
            model(take(images, chosen))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def predict(
    model: nn.Module, images: Tensor, rows: IntArray, precision: str, *, batch: int = 0
) -> Tensor:
    """Return (n, K) float32 outputs on the CPU for the chosen rows, in evaluation mode.

    Every batch has the same number of images, the last one filled up with copies of its first,
    so that kernels that depend on the size of a batch are the same for all.
    """
    model.eval()
    outputs, size = [], batch or PREDICTION_BATCH
    for start in range(0, len(rows), size):
        chosen = rows[start : start + size]
        filled = np.concatenate([chosen, np.repeat(chosen[:1], size - len(chosen))])
        block = take(images, torch.from_numpy(filled).to(images.device))
        with autocast(images.device.type, precision):
            result = model(block)
        outputs.append(result.float()[: len(chosen)].cpu())
    return torch.cat(outputs)


PREDICTION_BATCH = 256


def autocast(device: str, precision: str) -> torch.autocast:
    """The context in which a model multiplies in the given precision."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")
