"""The one update step, and its loop.

Scoring, discovery and splits all train through here: what is optimized is what is measured.

Axes: N images, K outputs. Images are uint8 tensors (N, H, W, channels), on the CPU memory-mapped
or in memory, on a GPU resident.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery import interrupts, randomness, ranks
from taskdiscovery.augment import augment
from taskdiscovery.errors import ConfigError, ResourceError
from taskdiscovery.journal import Watch
from taskdiscovery.networks import Model
from taskdiscovery.networks.convolutions import WeightGradientsByProducts
from taskdiscovery.progress import Meter, Silent
from taskdiscovery.training.asking import autocast, calibrate
from taskdiscovery.training.early import Settling
from taskdiscovery.training.images import take
from taskdiscovery.training.learner import Learner
from taskdiscovery.training.machine import gains_by_products
from taskdiscovery.training.state import TrainingState
from taskdiscovery.types import IntArray

Loss = Callable[[Tensor, Tensor], Tensor]


def step(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    precision: str,
    share: float = 1.0,
) -> Tensor:
    """Do one update.

    Under torchrun each rank gives its share of the batch, and all take the same update.

    Args:
        model: maps uint8 images to outputs; it is in training mode.
        images: (batch, H, W, channels) uint8.
        targets: class indices (batch,) or coordinates (batch, K).
        loss: of float32 outputs and targets, a scalar.
        optimizer: over the model's parameters.
        precision: `float32` or `bf16`.
        share: these images among those of the batch on all ranks.

    Returns:
        The share of the loss before the update, detached and not yet read back from the device.
    """
    device = images.device.type
    faster = WeightGradientsByProducts() if gains_by_products(device, precision) else nullcontext()
    with autocast(device, precision), faster:
        outputs = model(images)
    value = loss(outputs.float(), targets)
    if share != 1.0:
        value = value * share
    optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    ranks.add([p.grad for p in model.parameters() if p.grad is not None])
    optimizer.step()
    return value.detach()


def train(
    learner: Learner,
    model: Model,
    images: Tensor,
    rows: IntArray,
    targets: Tensor,
    loss: Loss,
    *,
    seed: int,
    meter: Meter | None = None,
    watch: Watch | None = None,
    settling: Settling | None = None,
) -> Model:
    """Train a model and leave it in evaluation mode.

    Args:
        learner: its recipe is followed.
        model: as the learner built it; trained in place.
        images: (N, H, W, channels) uint8, on the learner's device.
        rows: (n,) which images to train on.
        targets: (n, …) what they should give, on the learner's device.
        loss: of outputs and targets.
        seed: decides the order of batches, the augmentation, and the model's own random draws.
        meter: told of every image passed through.
        watch: saves the training between two updates, and gives back where it was saved.
        settling: says when the training may end before its schedule does.

    Returns:
        The same model.

    Raises:
        NumericalError: where the loss is not finite at the end of an epoch, or a weight is not.
        ResourceError: where memory runs out.
        KeyboardInterrupt: between two updates, where a signal asks for it.
    """
    recipe, meter, watch = learner.recipe, meter or Silent(), watch or Watch()
    with randomness.private(seed), interrupts.deferred(), _memory(recipe.batch):
        state = TrainingState(learner, model, len(rows), seed)
        state.take_up(watch)
        if settling is not None and state.settled:
            settling.before = state.before
        meter.advance(state.passed)
        row_index = torch.from_numpy(rows).to(images.device)
        model.train()
        while state.epoch < recipe.epochs and not state.settled:
            # Batches of nearly equal size: a last batch of one image would break batch norm.
            batches = state.permutation.to(images.device).tensor_split(state.batches)
            for chosen in batches[state.batch :]:
                batch = take(images, row_index[chosen])
                if recipe.augment:
                    batch = augment(batch, recipe.augment, state.order)
                mine = _part(len(chosen))
                state.total += step(
                    model,
                    batch[mine],
                    targets[chosen[mine]],
                    loss,
                    state.optimizer,
                    learner.precision,
                    share=(mine.stop - mine.start) / len(chosen),
                )
                if state.schedule is not None:
                    state.schedule.step()
                state.batch += 1
                meter.advance(len(chosen))
                state.settled = settling is not None and settling.done(model, state)
                watch.boundary(state.to_unit)
                if state.settled:
                    break
            ranks.add([state.total])
            if not math.isfinite(float(state.total)):
                raise state.diverged()
            if not state.settled:
                state.next_epoch()
        meter.advance(recipe.epochs * len(rows) - state.passed)  # what need not be done
        if not state.finite():
            raise state.diverged()
        if recipe.recalibrate:
            calibrate(model, images, rows, learner.precision)
        elif ranks.size() > 1:  # each rank has seen other statistics: their mean
            running = [b for b in model.buffers() if b.is_floating_point()]
            ranks.add(running)
            for buffer in running:
                buffer.div_(ranks.size())
    return model.eval()


def _part(count: int) -> slice:
    """Return this rank's part of a batch.

    Raises:
        ConfigError: where a rank would have fewer than two images.
    """
    there = ranks.size()
    if there == 1:
        return slice(0, count)
    if count < 2 * there:
        raise ConfigError(
            f"a batch of {count} images is too small for {there} ranks",
            where="--batch, under torchrun",
            mend=f"give at least --batch {2 * there}, or fewer ranks",
        )
    return slice(count * ranks.here() // there, count * (ranks.here() + 1) // there)


@contextmanager
def _memory(batch: int) -> Iterator[None]:
    """Turn the ways in which torch runs out of memory into an error with a remedy."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        words = str(error).lower()
        allocation = "memory" in words and ("allocat" in words or "out of" in words)
        if isinstance(error, RuntimeError) and not allocation:
            raise
        raise ResourceError(
            "memory ran out while training",
            where=f"--batch {batch}",
            mend=f"try --batch {max(2, batch // 2)}, a narrower learner or fewer images",
        ) from error


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of (batch, C) logits and (batch,) class indices."""
    return F.cross_entropy(outputs, targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of (batch, K) coordinates."""
    return F.mse_loss(outputs, targets)
