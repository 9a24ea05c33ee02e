"""Update rules of the inner loop, and how their costates go backwards.

A rule maps parameters, its own slots (momentum, moments) and a gradient to new parameters and
slots. It must be smooth wherever the inner loop may go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

#: nested tuples, lists and dictionaries of tensors.
Tree = Any


class State(NamedTuple):
    """What a step changes. A costate, the derivative of the outer loss by it, has the same shape.

    Attributes:
        params: a tree of tensors.
        slots: a tree of tensors, kept by the update rule; empty for plain SGD.
    """

    params: Tree
    slots: Tree = ()


class Rule:
    """An update rule. Subclasses give `init` and `update`; differentiating them is done here."""

    #: whether the costate of the gradient depends on the gradient itself.
    nonlinear = True

    def init(self, params: Tree) -> Tree:
        """Return the slots before the first step."""
        raise NotImplementedError

    def update(self, t: int, state: State, grads: Tree) -> State:
        """Return the state after step `t`, counted from 0, with operations that autograd knows."""
        raise NotImplementedError

    def pullback(
        self, t: int, state: State, grads: Tree | None, costate: State
    ) -> tuple[State, Tree, float]:
        """Carry a costate back through `update` alone.

        Args:
            t: number of the step.
            state: before the step.
            grads: that the step took; None for linear rules, which do not need it.
            costate: of the state after the step.

        Returns:
            The costate of the state before, as if the gradient did not depend on it; and the
            costate of the gradient, as a tree and a factor.
        """
        leaves, spec = tree_flatten((state, grads))
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        with torch.enable_grad():
            outputs, _ = tree_flatten(self.update(t, *tree_unflatten(leaves, spec)))
        costates, _ = tree_flatten(costate)
        pairs = [(o, c) for o, c in zip(outputs, costates, strict=True) if o.requires_grad]
        pulled = torch.autograd.grad(
            [o for o, _ in pairs],
            leaves,
            [c for _, c in pairs],
            allow_unused=True,
            materialize_grads=True,
        )
        before, of_grads = tree_unflatten(list(pulled), spec)
        return before, of_grads, 1.0


@dataclass(frozen=True)
class SGD(Rule):
    """Gradient descent, with momentum as `torch.optim.SGD` has it.

    Attributes:
        learning_rate: α.
        momentum: 0 for none.
    """

    learning_rate: float
    momentum: float = 0.0
    nonlinear = False

    def init(self, params: Tree) -> Tree:
        """Return zero velocities, or nothing."""
        return tree_map(torch.zeros_like, params) if self.momentum else ()

    def update(self, t: int, state: State, grads: Tree) -> State:
        """v' = μ v + g; θ' = θ − α v'."""
        moved, slots = grads, state.slots
        if self.momentum:
            moved = slots = tree_map(lambda v, g: self.momentum * v + g, state.slots, grads)

        def follow(p: Tensor, v: Tensor) -> Tensor:
            return torch.add(p, v, alpha=-self.learning_rate)

        return State(tree_map(follow, state.params, moved), slots)

    def pullback(
        self, t: int, state: State, grads: Tree | None, costate: State
    ) -> tuple[State, Tree, float]:
        """Carry a costate back: c_g = c_v − α c_θ, and c_v becomes μ c_g."""
        if not self.momentum:
            return costate, costate.params, -self.learning_rate
        of_grads = tree_map(lambda v, c: v - self.learning_rate * c, costate.slots, costate.params)
        slots = tree_map(lambda g: self.momentum * g, of_grads)
        return State(costate.params, slots), of_grads, 1.0


@dataclass(frozen=True)
class Adam(Rule):
    """Adam with `eps_root` inside the root, where the derivative at a zero gradient is finite.

    Attributes:
        learning_rate: α.
        betas: decay of the two moments.
        eps_root: added to the second moment before the root is taken.
    """

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps_root: float = 1e-8

    def init(self, params: Tree) -> Tree:
        """Return zero first and second moments."""
        zeros = tree_map(torch.zeros_like, params)
        return (zeros, tree_map(torch.zeros_like, params))

    def update(self, t: int, state: State, grads: Tree) -> State:
        """θ' = θ − α m̂ / √(v̂ + eps_root), with bias-corrected moments."""
        beta1, beta2 = self.betas
        first, second = state.slots
        first = tree_map(lambda m, g: beta1 * m + (1 - beta1) * g, first, grads)
        second = tree_map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, grads)
        fix1, fix2 = 1 - beta1 ** (t + 1), 1 - beta2 ** (t + 1)

        def moved(p: Tensor, m: Tensor, v: Tensor) -> Tensor:
            return p - self.learning_rate * (m / fix1) / (v / fix2 + self.eps_root).sqrt()

        return State(tree_map(moved, state.params, first, second), (first, second))
