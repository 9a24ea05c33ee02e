"""Prediction, and the batch-norm statistics that it needs.

Axes: N images, K outputs. Images are uint8 tensors (N, H, W, channels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from taskdiscovery.networks.images import take
from taskdiscovery.networks.placing import Images, Placed
from taskdiscovery.runtime.arithmetic import ieee
from taskdiscovery.types import IntArray

#: images that the CPU predicts at once, and that give a batch norm its statistics.
PREDICTION_BATCH = 256
#: pixels that a GPU predicts at once, and images at most and at least.
_PIXELS, _MOST, _LEAST = 2**22, 4096, 32
#: bytes of outputs that are left on a GPU before they are copied back.
_KEPT = 2**28


@torch.no_grad()
def calibrate(model: nn.Module, images: Images, rows: IntArray, precision: str = "float32") -> None:
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
    parts = np.array_split(rows, max(1, min(10, len(rows) // PREDICTION_BATCH)))
    with exact(images.device, precision):
        blocks = in_batches(images, [part[:PREDICTION_BATCH] for part in parts])
        for count, block in enumerate(blocks, start=1):
            for norm in norms:
                # A plain average; with None the norm would look up how many it has seen, for which
                # a GPU has to be waited for.
                norm.momentum = 1.0 / count
            with autocast(images.device.type, precision):
                model(block)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def predict(
    model: nn.Module, images: Images, rows: IntArray, precision: str, *, batch: int = 0
) -> Tensor:
    """Return (n, K) float32 outputs on the CPU for the chosen rows, in evaluation mode.

    Every batch has the same number of images, the last one filled up with copies of its first,
    so that kernels that depend on the size of a batch are the same for all. In float32 a GPU
    multiplies float32, not TF32.
    """
    model.eval()
    size = batch or prediction_batch(images)

    def ask(block: Tensor) -> Tensor:
        with autocast(images.device.type, precision):
            result: Tensor = model(block)
        return result.float()

    with exact(images.device, precision):
        return torch.cat(list(asked(ask, images, rows, size, filled=True)))


def asked(
    ask: Callable[[Tensor], Tensor], images: Images, rows: IntArray, size: int, *, filled: bool
) -> Iterator[Tensor]:
    """Yield what is made of batch after batch, on the CPU.

    A GPU is not waited for after each: outputs are copied back many batches at once.

    Args:
        ask: makes (b, …) of the images of a batch.
        images: (N, H, W, channels) uint8.
        rows: (n,) images to ask about.
        size: of a batch.
        filled: whether the last batch is filled up with copies of its first image.
    """
    cuts = [rows[start : start + size] for start in range(0, len(rows), size)]
    whole = [_filled(cut, size) for cut in cuts] if filled else cuts
    waiting: list[Tensor] = []
    for cut, block in zip(cuts, in_batches(images, whole), strict=True):
        waiting.append(ask(block)[: len(cut)])
        bytes_kept = sum(x.numel() for x in waiting) * waiting[0].element_size()
        if images.device.type == "cpu" or bytes_kept > _KEPT:
            yield torch.cat(waiting).cpu()
            waiting = []
    if waiting:
        yield torch.cat(waiting).cpu()


def _filled(rows: IntArray, size: int) -> IntArray:
    return np.concatenate([rows, np.repeat(rows[:1], size - len(rows))])


def in_batches(images: Images, rows: list[IntArray]) -> Iterator[Tensor]:
    """Yield the images of some rows after another, on the device; each ends with the next."""
    if isinstance(images, Placed):
        yield from images.batches(rows)
    else:
        for chosen in rows:
            yield take(images, torch.from_numpy(chosen).to(images.device))


def prediction_batch(images: Images) -> int:
    """Return how many images are predicted at once: it follows from their size and the device."""
    if images.device.type == "cpu":
        return PREDICTION_BATCH
    pixels = max(1, int(images.shape[1]) * int(images.shape[2]))
    size = 1 << int(np.log2(max(1, _PIXELS // pixels)))
    return min(_MOST, max(_LEAST, size))


def exact(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The context in which float32 means float32, where that is the precision."""
    return ieee(device) if precision == "float32" else nullcontext()


def autocast(device: str, precision: str) -> torch.autocast:
    """The context in which a model multiplies in the given precision."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")
