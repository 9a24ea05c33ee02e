"""The one update step, and its loop.

Scoring, discovery and splits all train through here: what is optimized is what is measured.

Axes: N images, K outputs. Images are uint8 tensors (N, H, W, channels), on the CPU memory-mapped
or in memory, on a GPU resident.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.errors import ConfigError, ResourceError
from taskdiscovery.networks import Model
from taskdiscovery.networks.convolutions import WeightGradientsByProducts
from taskdiscovery.networks.images import take
from taskdiscovery.networks.prediction import autocast, calibrate
from taskdiscovery.runtime import interrupts, random_states, ranks
from taskdiscovery.runtime.hardware import bf16_units
from taskdiscovery.runtime.progress import Meter, Silent
from taskdiscovery.training.augment import augment
from taskdiscovery.training.early import Settling
from taskdiscovery.training.state import TrainingState
from taskdiscovery.training.watch import Unwatched, Watch
from taskdiscovery.types import IntArray

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Examples:
    """What is trained on.

    Attributes:
        images: (N, H, W, channels) uint8, on the learner's device.
        rows: (n,) which images to train on.
        targets: (n, …) what they should give, on the learner's device: class indices (n,) or
            coordinates (n, K).
        loss: of float32 outputs and targets, a scalar.
    """

    images: Tensor
    rows: IntArray
    targets: Tensor
    loss: Loss


@dataclass(frozen=True, eq=False, kw_only=True)
class Hooks:
    """What looks on while a model is trained.

    Attributes:
        meter: told of every image passed through.
        watch: saves the training between two updates, and gives back where it was saved.
        settling: says when the training may end before its schedule does.
    """

    meter: Meter = field(default_factory=Silent)
    watch: Watch = field(default_factory=Unwatched)
    settling: Settling | None = None


class Batch(NamedTuple):
    """Images of one update.

    Attributes:
        images: (batch, H, W, channels) uint8.
        targets: class indices (batch,) or coordinates (batch, K).
        share: these images among those of the batch on all ranks.
    """

    images: Tensor
    targets: Tensor
    share: float = 1.0


def step(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    precision: str,
) -> Tensor:
    """Do one update.

    Under torchrun each rank gives its share of the batch, and all take the same update.

    Args:
        model: maps uint8 images to outputs; it is in training mode.
        batch: images and targets.
        loss: of float32 outputs and targets, a scalar.
        optimizer: over the model's parameters.
        precision: `float32` or `bf16`.

    Returns:
        The share of the loss before the update, detached and not yet read back from the device.
    """
    device = batch.images.device.type
    faster = WeightGradientsByProducts() if gains_by_products(device, precision) else nullcontext()
    with autocast(device, precision), faster:
        outputs = model(batch.images)
    value = loss(outputs.float(), batch.targets)
    if batch.share != 1.0:
        value = value * batch.share
    optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    ranks.add([p.grad for p in model.parameters() if p.grad is not None])
    optimizer.step()
    return value.detach()


def train(
    learner: ResolvedLearner,
    model: Model,
    examples: Examples,
    seed: int,
    hooks: Hooks | None = None,
) -> Model:
    """Train a model and leave it in evaluation mode.

    Args:
        learner: its recipe is followed.
        model: as it was built for the learner; trained in place.
        examples: images, targets, loss.
        seed: decides the order of batches, the augmentation, and the model's own random draws.
        hooks: progress, saving, early end.

    Returns:
        The same model.

    Raises:
        NumericalError: where the loss is not finite at the end of an epoch, or a weight is not.
        ResourceError: where memory runs out.
        KeyboardInterrupt: between two updates, where a signal asks for it.
    """
    recipe, hooks = learner.recipe, hooks or Hooks()
    meter, settling = hooks.meter, hooks.settling
    with (
        random_states.private(seed),
        interrupts.deferred(),
        _explained(recipe.batch),
    ):
        state = TrainingState(learner, model, len(examples.rows), seed)
        state.restore(hooks.watch)
        if settling is not None and state.settled:
            settling.before = state.before
        meter.advance(state.passed)
        row_index = torch.from_numpy(examples.rows).to(examples.images.device)
        model.train()
        while state.epoch < recipe.epochs and not state.settled:
            _epoch(state, examples, row_index, hooks)
            ranks.add([state.total])
            if not math.isfinite(float(state.total)):
                raise state.diverged()
            if not state.settled:
                state.next_epoch()
        # What need not be done.
        meter.advance(recipe.epochs * len(examples.rows) - state.passed)
        if not state.finite():
            raise state.diverged()
        if recipe.recalibrate:
            calibrate(model, examples.images, examples.rows, learner.precision)
        elif ranks.size() > 1:  # each rank has seen other statistics: their mean
            running = [b for b in model.buffers() if b.is_floating_point()]
            ranks.add(running)
            for buffer in running:
                buffer.div_(ranks.size())
    return model.eval()


def _epoch(state: TrainingState, examples: Examples, row_index: Tensor, hooks: Hooks) -> None:
    """Do what is left of an epoch; fewer updates where the predictions settle on the way."""
    learner, model, settling = state.learner, state.model, hooks.settling
    # Batches of nearly equal size: a last batch of one image would break batch norm.
    batches = state.permutation.to(examples.images.device).tensor_split(state.batches)
    for chosen in batches[state.batch :]:
        images = take(examples.images, row_index[chosen])
        if learner.recipe.augment:
            images = augment(images, learner.recipe.augment, state.order)
        mine = _part(len(chosen))
        share = (mine.stop - mine.start) / len(chosen)
        batch = Batch(images[mine], examples.targets[chosen[mine]], share)
        state.total += step(model, batch, examples.loss, state.optimizer, learner.precision)
        if state.schedule is not None:
            state.schedule.step()
        state.batch += 1
        hooks.meter.advance(len(chosen))
        state.settled = settling is not None and settling.done(model, state)
        hooks.watch.boundary(state.to_record)
        if state.settled:
            break


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
            hint=f"give at least --batch {2 * there}, or fewer ranks",
        )
    return slice(count * ranks.here() // there, count * (ranks.here() + 1) // there)


@contextmanager
def _explained(batch: int) -> Iterator[None]:
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
            hint=f"try --batch {max(2, batch // 2)}, a narrower learner or fewer images",
        ) from error


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of (batch, C) logits and (batch,) class indices."""
    return F.cross_entropy(outputs, targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of (batch, K) coordinates."""
    return F.mse_loss(outputs, targets)


def gains_by_products(device: str, precision: str) -> bool:
    """Say whether convolutions may find their weights' derivative by matrix products.

    Only where that was measured to be faster: bf16, AVX-512 without AMX.
    """
    return device == "cpu" and precision == "bf16" and bf16_units() == (True, False)
