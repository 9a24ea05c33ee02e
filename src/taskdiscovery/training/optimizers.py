"""Optimizers: torch's own, without what they load for a compiler; saved and restored."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from taskdiscovery.config import TrainingRecipe
from taskdiscovery.training.weights import to_numpy

#: releases of torch, first and last, whose optimizers are wrapped as `eager` expects.
TESTED = ((2, 6), (2, 13))


@cache
def eager(kind: type[torch.optim.Optimizer]) -> type[Any]:
    """Return an optimizer of torch that does not load torch's compiler with its first step.

    Every optimizer tells the compiler where to leave it alone, and imports all of it to say so: a
    second and a half in each process that trains. Below that layer the methods are the same.

    Args:
        kind: a class of `torch.optim`.

    Returns:
        A subclass, whose steps must not be traced by `torch.compile`; the class itself where this
        release of torch is none of those that were tested, or wraps its methods otherwise.
    """
    if not TESTED[0] <= _release(torch.__version__) <= TESTED[1]:
        return kind
    plain = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in plain}
    if not all(inspect.isfunction(m) and m.__name__ == name for name, m in methods.items()):
        return kind
    methods["step"] = torch.no_grad()(methods["step"])
    return type(kind.__name__, (kind,), methods)


def _release(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def make_optimizer(
    model: nn.Module, recipe: TrainingRecipe, steps: int, *, recorded: bool = False
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler | None]:
    """Make the optimizer of a recipe, and its schedule over so many steps, if it has one.

    Args:
        model: whose parameters are updated.
        recipe: of the training.
        steps: how many.
        recorded: whether its update becomes part of a CUDA graph.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    fused = all(p.is_floating_point() for p in parameters)
    weight_decay, own = recipe.weight_decay, {"fused": fused, "capturable": recorded}
    optimizer: torch.optim.Optimizer
    if recipe.optimizer == "sgd":
        optimizer = eager(torch.optim.SGD)(
            parameters, recipe.learning_rate, momentum=0.9, weight_decay=weight_decay
        )
    elif recipe.optimizer == "adamw":
        optimizer = eager(torch.optim.AdamW)(
            parameters, recipe.learning_rate, weight_decay=weight_decay, **own
        )
    else:
        optimizer = eager(torch.optim.Adam)(
            parameters, recipe.learning_rate, weight_decay=weight_decay, **own
        )
    if recorded:  # torch warns of its first steps, which are done before they are recorded
        setattr(optimizer, "_warned_capturable_if_run_uncaptured", True)  # noqa: B010
    if recipe.schedule == "onecycle" and steps > 1:
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps
        )
    return optimizer, None


#: what optimizers keep of a parameter: how often it was updated, and what has its shape.
_SLOTS = ("step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")
#: settings that a schedule changes on the way.
_CHANGING = (
    *("lr", "betas", "momentum", "weight_decay", "initial_lr", "max_lr", "min_lr", "eps"),
    *("max_momentum", "base_momentum"),
)


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> dict[str, np.ndarray[Any, Any]]:
    """Return what an optimizer keeps for each parameter, as arrays."""
    return {
        f"optimizer.{index}.{k}": to_numpy(v)
        for index, slots in optimizer.state_dict()["state"].items()
        for k, v in slots.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    arrays: Mapping[str, np.ndarray[Any, Any]],
    groups: list[dict[str, Any]] | None = None,
) -> None:
    """Set an optimizer to what `optimizer_arrays` returned.

    Args:
        optimizer: over the parameters it had.
        arrays: among them those of the optimizer.
        groups: its settings, where they change on the way; else they stay as they are.

    Raises:
        ValueError: where what is kept of a parameter has not its shape, or is none of the known.
    """
    fresh = optimizer.state_dict()["param_groups"]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for name, array in arrays.items():
        if name.startswith("optimizer."):
            _, index, slot = name.split(".", 2)
            number = int(index)
            if slot not in _SLOTS or not 0 <= number < len(parameters):
                raise ValueError(f"{name} is nothing that an optimizer keeps")
            value = torch.from_numpy(array.copy())
            # Fused optimizers walk the memory: what is of another size would lead them out of it.
            like = torch.zeros(()) if slot == "step" else parameters[number]
            if value.shape != like.shape or not value.is_floating_point():
                raise ValueError(f"{name} is of shape {tuple(value.shape)}")
            value = torch.empty_like(like).detach().copy_(value)
            slots.setdefault(number, {})[slot] = value
    if len({frozenset(kept) for kept in slots.values()}) > 1:
        raise ValueError("the optimizer lacks what it keeps of some parameters")
    saved = fresh if groups is None else groups
    merged = [
        # Whether it is fused, or captured, is decided here and now, and by no file.
        {**group, **{k: _tuples(own[k]) for k in group if k in _CHANGING}}
        for own, group in zip(saved, fresh, strict=True)
    ]
    optimizer.load_state_dict({"state": slots, "param_groups": merged})


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
