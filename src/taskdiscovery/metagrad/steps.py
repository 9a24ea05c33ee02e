"""What a step of an inner loop promises, and how its inputs are taken apart.

A *tape* is what a step leaves behind for the way back.

Axes: none; states and inputs are trees of tensors. Input tensors that require a gradient are
differentiated; all others are constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from taskdiscovery.metagrad.rules import State, Tree


class Tape(Protocol):
    """What one step left behind."""

    def pullback(self, costate: State, *, curvature: bool) -> tuple[State, Tree]:
        """Carry the costate of the state after the step to the state before.

        Args:
            costate: derivative of the outer loss by the state after the step.
            curvature: whether the step's dependence on its parameters through the gradient counts
                (the Hessian); without, one forward product is enough.

        Returns:
            The costate of the state before, and the derivative by the inputs: a tree as they are,
            with None where an input is constant.
        """
        ...


class Step(Protocol):
    """A step of the inner loop."""

    def init(self, params: Tree) -> State:
        """Return the state before the first step."""
        ...

    def forward(self, t: int, state: State, inputs: Tree, *, graph: bool) -> tuple[State, Tape]:
        """Do step `t` (from 0); with `graph` the tape keeps the graph."""
        ...

    def differentiable(self, t: int, state: State, inputs: Tree) -> State:
        """Do step `t` as one piece of an autograd graph, inner gradient included."""
        ...


class Parts(NamedTuple):
    """The inputs of a step, taken apart.

    Attributes:
        varied: the differentiated ones, detached.
        constants: all leaves, with None in the differentiated places.
        which: the differentiated places.
        spec: of the tree that they make together.
    """

    varied: list[Tensor]
    constants: list[Any]
    which: list[int]
    spec: TreeSpec


class Inputs:
    """The inputs of a step, the differentiated ones apart from the constants."""

    def __init__(self, inputs: Tree) -> None:
        self.leaves, self.spec = tree_flatten(inputs)
        self.which = [
            i for i, x in enumerate(self.leaves) if isinstance(x, Tensor) and x.requires_grad
        ]

    def detached(self) -> list[Tensor]:
        """Return the differentiated ones, cut off from what they came from."""
        return [self.leaves[i].detach() for i in self.which]

    def constants(self) -> list[Any]:
        """Return the leaves with None in the differentiated places."""
        return [None if i in self.which else leaf for i, leaf in enumerate(self.leaves)]

    def parts(self) -> Parts:
        """Return all of it, as a product takes it."""
        return Parts(self.detached(), self.constants(), self.which, self.spec)

    def gradients(self, found: Sequence[Tensor | None]) -> Tree:
        """Return derivatives in the shape of the inputs, None for the constants."""
        given: list[Tensor | None] = [None] * len(self.leaves)
        for i, gradient in zip(self.which, found, strict=True):
            given[i] = gradient
        return tree_unflatten(given, self.spec)


def merge(which: list[int], varied: Sequence[Tensor], constants: list[Any], spec: TreeSpec) -> Tree:
    """Put differentiated and constant inputs together again."""
    leaves = list(constants)
    for i, x in zip(which, varied, strict=True):
        leaves[i] = x
    return tree_unflatten(leaves, spec)
