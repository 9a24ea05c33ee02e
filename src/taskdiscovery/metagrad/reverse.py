"""The plain unroll, as the published code does it: an oracle, and the baseline of benchmarks.

Every step is recomputed under reentrant checkpointing and differentiated a second time. Nothing
here is shared with the exact engine but the steps themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.checkpoint import checkpoint

from taskdiscovery.metagrad.outer import MetaGradient, Outer, Stop
from taskdiscovery.metagrad.rules import State, Tree
from taskdiscovery.metagrad.steps import Step


def reverse(
    step: Step,
    outer: Outer,
    params: Tree,
    inputs: Sequence[Tree],
    *,
    with_params: bool = False,
    stop: Stop | None = None,
) -> MetaGradient:
    """Differentiate an outer loss by reverse-over-reverse; arguments as of `metagrad`."""
    params = tree_map(lambda p: p.detach().requires_grad_(with_params), params)
    given = [tree_map(_leaf, entry) for entry in inputs]
    state, done, T = step.init(params), 0, len(inputs) - 1
    total: Tensor | None = None
    while done < T and not (stop is not None and stop(done, tree_map(torch.detach, state.params))):
        total = _added(total, outer(done, state.params, given[done]))
        state = _checkpointed(step, done, state, given[done])
        done += 1
    total = _added(total, outer(T, state.params, given[T]))
    value = torch.zeros(()) if total is None else total
    if value.requires_grad:
        value.backward()  # type: ignore[no-untyped-call]
    found: list[Tree] = [
        tree_map(_gradient, entry) if t < done or t == T else None for t, entry in enumerate(given)
    ]
    return MetaGradient(
        value=value.detach(),
        inputs=found,
        params=tree_map(_gradient, params) if with_params else None,
        final=tree_map(torch.detach, state.params),
        steps=done,
    )


def _checkpointed(step: Step, t: int, state: State, inputs: Tree) -> State:
    leaves, spec = tree_flatten((state, inputs))
    which = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.is_floating_point()]
    shape: list[Any] = []

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        # The first pass runs without a graph, where the inner gradient still needs one.
        recomputing = torch.is_grad_enabled()
        with torch.enable_grad():
            now = list(leaves)
            for i, x in zip(which, tensors, strict=True):
                now[i] = x
            own, entry = tree_unflatten(now, spec)
            own = tree_map(lambda x: x if x.requires_grad else x.detach().requires_grad_(), own)
            outputs, out_shape = tree_flatten(step.differentiable(t, own, entry))
        shape[:] = [out_shape]
        return tuple(outputs) if recomputing else tuple(o.detach() for o in outputs)

    outputs = checkpoint(run, *(leaves[i] for i in which), use_reentrant=True)
    return tree_unflatten(list(outputs), shape[0])


def _leaf(x: Any) -> Any:
    if isinstance(x, Tensor) and x.requires_grad:
        return x.detach().requires_grad_()
    return x


def _gradient(x: Any) -> Tensor | None:
    if not isinstance(x, Tensor) or not x.requires_grad:
        return None
    return torch.zeros_like(x) if x.grad is None else x.grad


def _added(total: Tensor | None, term: Tensor | None) -> Tensor | None:
    if total is None or term is None:
        return term if total is None else total
    return total + term
