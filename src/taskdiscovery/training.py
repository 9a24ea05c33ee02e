"""The one update step, its loop, and prediction.

Scoring, discovery and splits all train through here: what is optimized is what is measured.

Axes: N images, K outputs. Images are uint8 tensors (N, H, W, channels), on the CPU memory-mapped
or in memory, on a GPU resident.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taskdiscovery import interrupts, networks, randomness
from taskdiscovery.augment import augment
from taskdiscovery.config import Recipe
from taskdiscovery.errors import ConfigError, NumericalError, ResourceError, RunDirError
from taskdiscovery.journal import Unit, Watch
from taskdiscovery.learners import check_learner
from taskdiscovery.networks import Model
from taskdiscovery.progress import Meter, Silent
from taskdiscovery.seeds import derive
from taskdiscovery.specs import Spec
from taskdiscovery.types import ImageArray, IntArray

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Learner:
    """An architecture and the recipe that trains it.

    Attributes:
        spec: the architecture, e.g. `convnet?width=0.5`; `augment=flip,crop` is part of it.
        recipe: optimizer, epochs, batch size.
        device: `cpu` or `cuda`.
        precision: `float32` or `bf16`.
    """

    spec: Spec
    recipe: Recipe
    device: str = "cpu"
    precision: str = "float32"

    @classmethod
    def of(cls, text: str, recipe: Recipe, *, device: str, precision: str) -> Learner:
        """Read a learner SPEC.

        Raises:
            ConfigError: for an unknown network, option or augmentation.
        """
        spec, chosen = check_learner(text)
        recipe = replace(recipe, augment=chosen or recipe.augment)
        return cls(spec=spec, recipe=recipe, device=device, precision=precision)

    def build(self, shape: tuple[int, int, int], outputs: int, pixels: Pixels, seed: int) -> Model:
        """Build the network with fresh weights on the learner's device."""
        return networks.build(
            self.spec.without("augment"),
            shape,
            outputs,
            seed=seed,
            mean=torch.tensor(pixels.mean),
            std=torch.tensor(pixels.std),
        ).to(self.device)


@dataclass(frozen=True)
class Pixels:
    """Per-channel mean and standard deviation of pixel values, in 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def measure(cls, images: ImageArray, rows: IntArray, at_most: int = 10_000) -> Pixels:
        """Measure them on evenly chosen rows; a constant channel gets a deviation of 1."""
        chosen = rows[np.linspace(0, len(rows) - 1, min(len(rows), at_most)).astype(np.int64)]
        sums, squares, count = 0.0, 0.0, 0
        for start in range(0, len(chosen), 1000):
            block = images[chosen[start : start + 1000]].astype(np.float64)
            sums = sums + block.sum(axis=(0, 1, 2))
            squares = squares + (block**2).sum(axis=(0, 1, 2))
            count += block.shape[0] * block.shape[1] * block.shape[2]
        mean = np.asarray(sums) / count
        std = np.sqrt(np.maximum(np.asarray(squares) / count - mean**2, 0))
        return cls(tuple(mean.tolist()), tuple(np.where(std > 1e-6, std, 1.0).tolist()))


def to_tensor(images: ImageArray, device: str) -> Tensor:
    """Share the images with torch without a copy on the CPU; make them resident on a GPU."""
    if not images.flags.writeable:
        images = images.copy()
    return torch.from_numpy(images).to(device)


def step(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    precision: str,
) -> Tensor:
    """Do one update.

    Args:
        model: maps uint8 images to outputs; it is in training mode.
        images: (batch, H, W, channels) uint8.
        targets: class indices (batch,) or coordinates (batch, K).
        loss: of float32 outputs and targets, a scalar.
        optimizer: over the model's parameters.
        precision: `float32` or `bf16`.

    Returns:
        The loss before the update, detached and not yet read back from the device.
    """
    with autocast(images.device.type, precision):
        outputs = model(images)
    value = loss(outputs.float(), targets)
    optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
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

    Returns:
        The same model.

    Raises:
        NumericalError: where the loss is not finite at the end of an epoch, or a weight is not.
        ResourceError: where memory runs out.
        KeyboardInterrupt: between two updates, where a signal asks for it.
    """
    recipe, meter, watch = learner.recipe, meter or Silent(), watch or Watch()
    with randomness.private(seed), interrupts.deferred(), _memory(recipe.batch):
        state = _Training(learner, model, len(rows), seed)
        state.take_up(watch)
        meter.advance(state.passed)
        row_index = torch.from_numpy(rows).to(images.device)
        model.train()
        while state.epoch < recipe.epochs:
            # Batches of nearly equal size: a last batch of one image would break batch norm.
            batches = state.permutation.to(images.device).tensor_split(state.batches)
            for chosen in batches[state.batch :]:
                batch = images.index_select(0, row_index[chosen])
                if recipe.augment:
                    batch = augment(batch, recipe.augment, state.order)
                state.total += step(
                    model, batch, targets[chosen], loss, state.optimizer, learner.precision
                )
                if state.schedule is not None:
                    state.schedule.step()
                state.batch += 1
                meter.advance(len(chosen))
                watch.boundary(state.to_unit)
            if not math.isfinite(float(state.total)):
                raise state.diverged()
            state.next_epoch()
        if not state.finite():
            raise state.diverged()
        if recipe.recalibrate:
            calibrate(model, images, rows)
    return model.eval()


class _Training:
    """All that a training consists of between two updates, to be saved and taken up again."""

    def __init__(self, learner: Learner, model: Model, n: int, seed: int) -> None:
        self.learner, self.model, self.n = learner, model, n
        self.batches = max(1, n // learner.recipe.batch)
        steps = learner.recipe.epochs * self.batches
        self.optimizer, self.schedule = _optimizer(model, learner.recipe, steps)
        self.order = torch.Generator().manual_seed(derive(seed, "order"))
        self.epoch, self.batch = 0, 0
        self.permutation = torch.randperm(n, generator=self.order)
        self.total = torch.zeros((), device=learner.device)

    @property
    def passed(self) -> int:
        """Images that have passed, to within a batch."""
        return (self.epoch * self.batches + self.batch) * self.n // self.batches

    def next_epoch(self) -> None:
        """Draw the order of the next epoch."""
        self.epoch, self.batch = self.epoch + 1, 0
        self.permutation = torch.randperm(self.n, generator=self.order)
        self.total = torch.zeros_like(self.total)

    def finite(self) -> bool:
        """Say whether all weights are finite."""
        return all(bool(torch.isfinite(p).all()) for p in self.model.parameters())

    def diverged(self) -> NumericalError:
        """Return the error for a training that left the finite numbers."""
        return NumericalError(
            f"training diverged in epoch {min(self.epoch + 1, self.learner.recipe.epochs)}",
            where=self.learner.spec.text,
            mend="lower the learning rate (--learning-rate), or use --precision float32",
        )

    def to_unit(self) -> Unit:
        """Return the state.

        Raises:
            NumericalError: where a weight is not finite: such a state is never saved.
        """
        if not self.finite():
            raise self.diverged()
        arrays = {f"model.{k}": _to_numpy(v) for k, v in self.model.state_dict().items()}
        optimizer = self.optimizer.state_dict()
        for index, slots in optimizer["state"].items():
            arrays |= {f"optimizer.{index}.{k}": _to_numpy(v) for k, v in slots.items()}
        arrays |= {f"random.{k}": v for k, v in randomness.capture().items()}
        arrays["order"] = self.order.get_state().numpy().copy()
        arrays["permutation"] = self.permutation.numpy().copy()
        arrays["total"] = _to_numpy(self.total)
        schedule = None
        if self.schedule is not None:
            known = self.schedule.state_dict()
            schedule = {k: known[k] for k in ("last_epoch", "_step_count", "_last_lr")}
        groups = [{k: g[k] for k in g if k != "params"} for g in optimizer["param_groups"]]
        values = {"epoch": self.epoch, "batch": self.batch, "groups": groups, "schedule": schedule}
        return Unit(values=values, arrays=arrays)

    def take_up(self, watch: Watch) -> None:
        """Go back to where the training was saved, if it was.

        Raises:
            RunDirError: where what was saved does not fit.
        """
        saved = watch.restored()
        if saved is None:
            return
        try:
            self._restore(saved)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise RunDirError(
                f"the saved training does not fit: {str(error).splitlines()[0]}",
                where="checkpoints",
                mend="was taskdiscovery upgraded meanwhile? begin again with another --out",
            ) from error

    def _restore(self, saved: Unit) -> None:
        values, arrays = saved.values, saved.arrays
        own = self.model.state_dict()
        self.model.load_state_dict({k: _like(arrays[f"model.{k}"], own[k]) for k in own})
        fresh = self.optimizer.state_dict()
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, array in arrays.items():
            if name.startswith("optimizer."):
                _, index, slot = name.split(".", 2)
                value = torch.from_numpy(array.copy())
                if value.dim() and value.shape == parameters[int(index)].shape:
                    # Fused optimizers walk the memory: it must be laid out as the parameter is.
                    value = torch.empty_like(parameters[int(index)]).detach().copy_(value)
                slots.setdefault(int(index), {})[slot] = value
        groups = [
            {**{k: _tuples(v) for k, v in saved_group.items()}, "params": group["params"]}
            for saved_group, group in zip(values["groups"], fresh["param_groups"], strict=True)
        ]
        self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
        if self.schedule is not None:
            self.schedule.load_state_dict(dict(values["schedule"]))
        self.epoch, self.batch = int(values["epoch"]), int(values["batch"])
        self.permutation = torch.from_numpy(arrays["permutation"].copy())
        self.total = _like(arrays["total"], self.total)
        self.order.set_state(torch.from_numpy(arrays["order"].copy()))
        randomness.restore(
            {k.removeprefix("random."): v for k, v in arrays.items() if k.startswith("random.")}
        )


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


def weights(model: nn.Module) -> dict[str, np.ndarray[Any, Any]]:
    """Return all parameters and buffers as arrays."""
    return {k: _to_numpy(v) for k, v in model.state_dict().items()}


def set_weights(model: nn.Module, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Set them to what `weights` returned."""
    own = model.state_dict()
    model.load_state_dict({k: _like(arrays[k], own[k]) for k in own})


def _to_numpy(tensor: Tensor) -> np.ndarray[Any, Any]:
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:  # NumPy has no such type: keep its bits
        tensor = tensor.view(torch.int16)
    return tensor.numpy().copy()


def _like(array: np.ndarray[Any, Any], tensor: Tensor) -> Tensor:
    found = torch.from_numpy(array.copy())
    if tensor.dtype == torch.bfloat16:
        found = found.view(torch.bfloat16)
    return found.to(tensor.device)


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@torch.no_grad()
def calibrate(model: nn.Module, images: Tensor, rows: IntArray) -> None:
    """Set the statistics of all batch norms to plain averages over ten batches of these rows."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches that follow
    model.train()
    batches = np.array_split(rows, max(1, min(10, len(rows) // PREDICTION_BATCH)))
    for batch in batches:
        chosen = torch.from_numpy(batch[: 2 * PREDICTION_BATCH]).to(images.device)
        model(images.index_select(0, chosen))
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
        block = images.index_select(0, torch.from_numpy(filled).to(images.device))
        with autocast(images.device.type, precision):
            result = model(block)
        outputs.append(result.float()[: len(chosen)].cpu())
    return torch.cat(outputs)


PREDICTION_BATCH = 256


def autocast(device: str, precision: str) -> torch.autocast:
    """The context in which a model multiplies in the given precision."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16")


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of (batch, C) logits and (batch,) class indices."""
    return F.cross_entropy(outputs, targets)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error of (batch, K) coordinates."""
    return F.mse_loss(outputs, targets)


def resolve_device(device: str) -> str:
    """Turn `auto` into `cuda` where there is one, else `cpu`.

    Raises:
        ConfigError: where `cuda` is asked for and absent.
    """
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError(
            "no CUDA device is available", where="--device cuda", mend="use --device cpu or auto"
        )
    return ("cuda" if available else "cpu") if device == "auto" else device


def resolve_precision(precision: str, device: str) -> str:
    """Turn `auto` into `bf16` where the hardware multiplies it natively, else `float32`."""
    if precision != "auto":
        return precision
    if device == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        native = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
    return "bf16" if native else "float32"


def set_threads(threads: int | None) -> int:
    """Use so many CPU threads; by default all that the process may run on. Return how many."""
    chosen = threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(chosen)
    return chosen


def _optimizer(
    model: nn.Module, recipe: Recipe, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    fused = all(p.is_floating_point() for p in parameters)
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = torch.optim.SGD(
            parameters, recipe.learning_rate, momentum=0.9, weight_decay=recipe.weight_decay
        )
    elif recipe.optimizer == "adamw":
        optimizer = torch.optim.AdamW(
            parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
        )
    else:
        optimizer = torch.optim.Adam(
            parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
        )
    if recipe.schedule == "onecycle" and steps > 1:
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps
        )
    return optimizer, None
