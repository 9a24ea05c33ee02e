"""The one update step: written once, and on a GPU recorded as a whole.

What changes from step to step (which images, what was drawn for their augmentation, on a GPU that
streams the pixels) is copied into tensors that stay; everything else follows from them, so that a
step is the same work on the same tensors. On a GPU it is one CUDA graph for each size of batch:
gathering, augmentation, forward, backward, and the update where its settings stand still. Nothing
is read back.

Axes: N images, n training images, K outputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.errors import ConfigError
from taskdiscovery.networks import Model
from taskdiscovery.networks.activation import fused_norms
from taskdiscovery.networks.convolutions import WeightGradientsByProducts
from taskdiscovery.networks.images import take
from taskdiscovery.networks.placing import Images, Placed, hold
from taskdiscovery.networks.prediction import autocast
from taskdiscovery.networks.streaming import upload
from taskdiscovery.runtime import ranks
from taskdiscovery.runtime.capture import Captured, memory_pool
from taskdiscovery.runtime.hardware import bf16_units
from taskdiscovery.training.augment import augment
from taskdiscovery.training.optimizers import make_optimizer
from taskdiscovery.training.weighting import Weighting
from taskdiscovery.types import IntArray

Loss = Callable[[Tensor, Tensor], Tensor]
Gradients = list[Tensor | None]


@dataclass(frozen=True, eq=False)
class Examples:
    """What is trained on.

    Attributes:
        images: (N, H, W, channels) uint8, on the learner's device.
        rows: (n,) which images to train on.
        targets: (n, …) what they should give, on the learner's device: class indices (n,) or
            coordinates (n, K).
        loss: of float32 outputs and targets, a scalar.
        weighting: of the images' losses; None for their mean. The loss is then one of `BY_IMAGE`.
    """

    images: Images
    rows: IntArray
    targets: Tensor
    loss: Loss
    weighting: Weighting | None = None


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
    value = find_gradients(model, batch, loss, precision)
    optimizer.step()
    return value


def find_gradients(model: nn.Module, batch: Batch, loss: Loss, precision: str) -> Tensor:
    """Set the gradients of a model's parameters; arguments and result as of `step`."""
    device = batch.images.device.type
    faster = WeightGradientsByProducts() if gains_by_products(device, precision) else nullcontext()
    with autocast(device, precision), faster, fused_norms(batch.images.device):
        outputs = model(batch.images)
    value = loss(outputs.float(), batch.targets)
    if batch.share != 1.0:
        value = value * batch.share
    model.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    ranks.add([p.grad for p in model.parameters() if p.grad is not None])
    return value.detach()


@dataclass(frozen=True, eq=False)
class _Work:
    """The step for one size of batch.

    Attributes:
        chosen: (batch,) places among the training rows.
        drawn: what was drawn for each augmentation.
        pixels: (batch, H, W, channels) where images are streamed; else None.
        do: finds the gradients, and returns them; updates, too, where that is recorded.
        run: the same, recorded on a GPU.
    """

    chosen: Tensor
    drawn: list[Tensor]
    pixels: Tensor | None
    do: Callable[[], Gradients]
    run: Captured[Gradients]


class Steps:
    """Updates of one network.

    Args:
        learner: its recipe is followed.
        model: is trained.
        examples: what it is trained on.
        updates: how many there will be.

    Attributes:
        model: that is trained: the given one.
        total: the sum of the losses since it was last set to zero; not yet read back.
        weighting: of the losses, on tensors of its own; or None.
    """

    def __init__(
        self, learner: ResolvedLearner, model: Model, examples: Examples, updates: int
    ) -> None:
        self.learner, self.model, self.loss = learner, model, examples.loss
        self.images, self.device = examples.images, examples.images.device
        #: whether the images lie on the device, or come batch by batch.
        self.resident = hold(examples.images, examples.rows)
        self.rows = torch.from_numpy(examples.rows).to(self.device)
        self.targets = examples.targets
        given = examples.weighting
        self.weighting = None if given is None else given.fresh()
        self.total = torch.zeros((), device=self.device)
        # Where a schedule changes the settings of an optimizer from step to step, its update is
        # not recorded: fused, it is launched in the shadow of the work before it.
        self.whole = self.device.type == "cuda" and learner.recipe.schedule == "constant"
        self.optimizer, self.schedule = make_optimizer(
            model, learner.recipe, updates, recorded=self.whole
        )
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._pool = memory_pool(self.device)
        self._works: dict[int, _Work] = {}

    def __call__(self, chosen: Tensor, drawn: Sequence[Tensor], pixels: Tensor | None) -> None:
        """Do one update, in training mode, within `runtime.capture.aside`."""
        self.finish(self.prepared(chosen, drawn, pixels).run())

    def prepared(self, chosen: Tensor, drawn: Sequence[Tensor], pixels: Tensor | None) -> _Work:
        """Set what a step looks at; return what is to be done.

        Args:
            chosen: (batch,) places among the training rows, on the device.
            drawn: what was drawn for each augmentation, on the CPU.
            pixels: (batch, H, W, channels) on the device where images are not resident.
        """
        work = self._works.get(len(chosen))
        if work is None:
            work = self._works[len(chosen)] = self._work(len(chosen), drawn)
        work.chosen.copy_(chosen)
        for kept, own in zip(work.drawn, drawn, strict=True):
            kept.copy_(upload(own, self.device))
        if work.pixels is not None:
            assert pixels is not None
            work.pixels.copy_(pixels)
        return work

    def finish(self, gradients: Gradients) -> None:
        """Do the update where it is not part of what was recorded."""
        if not self.whole:
            for parameter, gradient in zip(self._parameters, gradients, strict=True):
                parameter.grad = gradient
            self.optimizer.step()

    def _work(self, size: int, drawn: Sequence[Tensor]) -> _Work:
        """Write the step for one size of batch."""
        chosen = torch.empty(size, dtype=torch.int64, device=self.device)
        kept = [torch.empty_like(own, device=self.device) for own in drawn]
        pixels = None
        if not self.resident:
            shape = (size, *self.images.shape[1:])
            pixels = torch.empty(shape, dtype=self.images.dtype, device=self.device)
        names, mine = self.learner.recipe.augment, _part(size)
        share, loss = (mine.stop - mine.start) / size, self._loss(chosen[mine])

        def work() -> Gradients:
            images = pixels
            if images is None:
                images = take(self.images, self.rows.index_select(0, chosen))
            if names:
                images = augment(images, names, kept)
            batch = Batch(images[mine], self.targets.index_select(0, chosen[mine]), share)
            value = find_gradients(self.model, batch, loss, self.learner.precision)
            self.total.add_(value)
            if self.whole:
                self.optimizer.step()
            return [p.grad for p in self._parameters]

        adopted = self.model.adopted is not None
        run = Captured(
            work,
            self.device,
            wanted=ranks.size() == 1,
            pool=self._pool,
            unchanged=(lambda: _attributes(self.model)) if adopted else None,
        )
        return _Work(chosen, kept, pixels, work, run)

    def _loss(self, chosen: Tensor) -> Loss:
        """Return the loss of a batch.

        Args:
            chosen: (batch,) places of its images among the training rows, in a tensor that stays.
        """
        weighting = self.weighting
        if weighting is None:
            return self.loss
        by_image = BY_IMAGE[self.loss]
        return lambda outputs, targets: weighting(by_image(outputs, targets), chosen)

    def begin(self, model: Model, examples: Examples, updates: int) -> None:
        """Go on with other weights, rows and targets of the same shapes, and a fresh optimizer."""
        copy_weights(model, self.model)
        self.rows.copy_(torch.from_numpy(examples.rows))
        self.targets.copy_(examples.targets)
        if self.weighting is not None and examples.weighting is not None:
            self.weighting.begin(examples.weighting)
        self.total.zero_()
        if not self.whole:
            self.optimizer, self.schedule = make_optimizer(
                self.model, self.learner.recipe, updates, recorded=False
            )
        for kept in self.optimizer.state.values():
            for slot in kept.values():
                slot.zero_()


@torch.no_grad()
def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and buffers between two networks of one architecture."""
    given = source.state_dict()
    for name, own in target.state_dict().items():
        own.copy_(given[name])


def _attributes(model: nn.Module) -> list[Any]:
    """Return what a user's network may count or switch on the way, which no graph would do."""
    plain = (int, float, str, type(None))
    return [
        (name, key, value)
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, plain)
    ]


#: steps of the training before, recorded, by what they must have in common with the next one.
_RECORDED: dict[Any, Steps] = {}


def steps_of(
    learner: ResolvedLearner, model: Model, examples: Examples, updates: int, *, anew: bool
) -> Steps:
    """Return the steps of a training, on a GPU those of the one before where they are alike.

    To record steps takes as long as some dozens of them. The trainings of a job differ in weights,
    rows and targets alone, which are copied into the tensors that were recorded.

    Args:
        learner, model, examples, updates: as of `Steps`.
        anew: never take those of another training.

    Returns:
        Steps whose `model` is another one than the given, with its weights, where it may be taken
        again.
    """
    images = examples.images
    if not isinstance(images, Placed) or model.adopted is not None or anew or ranks.size() > 1:
        return Steps(learner, model, examples, updates)
    resident = images.hold(examples.rows)
    targets, weighting = examples.targets, examples.weighting
    key = (
        *(learner, examples.loss, images.shape[1:], images.identity, resident),
        *(len(examples.rows), targets.shape, targets.dtype, _shapes(model)),
        None if weighting is None else weighting.key,
    )
    known = _RECORDED.get(key)
    if known is not None:
        known.begin(model, examples, updates)
        return known
    forget_steps()
    own = replace(examples, targets=targets.clone())
    steps = Steps(learner, copy.deepcopy(model), own, updates)
    _RECORDED[key] = steps
    return steps


def _shapes(model: nn.Module) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(p.shape) for p in model.parameters())


def forget_steps() -> None:
    """Give back the memory of recorded steps."""
    _RECORDED.clear()


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


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of (batch, C) logits and (batch,) class indices."""
    return F.cross_entropy(outputs, targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of (batch, K) coordinates."""
    return F.mse_loss(outputs, targets)


def _cross_entropies(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="none")


def _squared_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1)


#: the losses whose means over a batch are those above, as (batch,) of its images.
BY_IMAGE: dict[Loss, Loss] = {cross_entropy: _cross_entropies, squared_error: _squared_errors}


def gains_by_products(device: str, precision: str) -> bool:
    """Say whether convolutions may find their weights' derivative by matrix products.

    Only where that was measured to be faster: bf16, AVX-512 without AMX.
    """
    return device == "cpu" and precision == "bf16" and bf16_units() == (True, False)
