"""A step that follows a gradient, and the two tapes that it can leave.

`Graph` keeps the graph of the step's gradient; `Recomputed` keeps the state alone, and goes back by
one forward-over-reverse product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

from taskdiscovery.metagrad.compiled import Compiled
from taskdiscovery.metagrad.replayed import Replayed
from taskdiscovery.metagrad.rules import Rule, State, Tree
from taskdiscovery.metagrad.steps import Inputs, Parts, Tape, merge

#: of parameters and the inputs of one step, a scalar.
Loss = Callable[[Tree, Tree], Tensor]


class GradientStep:
    """A step that follows the gradient of a loss by some rule.

    Args:
        loss: of the parameters and the step's inputs. It must give the same value whenever it is
            called with the same arguments: no running statistics, no unseeded draws.
        rule: turns gradients into updates.
        product: how the second derivative is taken: `forward` (over reverse), or `reverse` for
            networks with an operation that has no forward derivative.
        compiled: whether gradient and product are compiled; worth it where shapes recur often.
        graph_loss: the same loss, written so that autograd differentiates its gradient cheaply;
            used where graphs are kept.
        product_loss: the same loss, written so that its gradient is cheap to differentiate along a
            direction, and itself need not be right; used for products that are not compiled.
    """

    def __init__(
        self,
        loss: Loss,
        rule: Rule,
        *,
        product: str = "forward",
        compiled: bool = False,
        graph_loss: Loss | None = None,
        product_loss: Loss | None = None,
    ) -> None:
        self.loss, self.rule, self.forward_product = loss, rule, product == "forward"
        self.graph_loss = graph_loss or loss
        # A compiler fuses the plain form by itself, and cannot read the other.
        self.product_loss = loss if compiled else product_loss or loss
        self._gradient: Callable[..., Tree] = self._plain_gradient
        self._product: Callable[..., tuple[Tree, list[Tensor]]] = self._plain_product
        if compiled:
            self._gradient = Compiled(self._plain_gradient)
            self._product = Compiled(self._plain_product)
        self._compiled = compiled

    def replay(self, pool: Any = None) -> None:
        """Record gradient and product on a GPU, and replay them from then on.

        Args:
            pool: memory shared with other graphs; see `runtime.capture.memory_pool`.
        """
        if not self._compiled:
            self._gradient = Replayed(self._plain_gradient, pool)
            self._product = Replayed(self._plain_product, pool)

    @property
    def compiled(self) -> bool:
        """Say whether gradient and product are compiled, and nothing went wrong with it."""
        parts = (self._gradient, self._product)
        return all(isinstance(p, Compiled) and p.chosen is not p.plain for p in parts)

    def init(self, params: Tree) -> State:
        """Return the state before the first step."""
        return State(params, self.rule.init(params))

    def forward(self, t: int, state: State, inputs: Tree, *, graph: bool) -> tuple[State, Tape]:
        """Do step `t` (from 0); with `graph` the tape keeps the graph of the gradient."""
        parts = Inputs(inputs)
        tape: Tape
        if graph:
            kept = Graph(self, t, state, parts)
            grads, tape = kept.values(), kept
        else:
            grads = self._gradient(state.params, parts.leaves, parts.spec)
            # Linear rules go back without it; for the others it is stored beside the state.
            stored = grads if self.rule.nonlinear else None
            tape = Recomputed(self, t, state, stored, parts)
        with torch.no_grad():
            return self.rule.update(t, state, grads), tape

    def differentiable(self, t: int, state: State, inputs: Tree) -> State:
        """Do step `t` as one piece of an autograd graph, inner gradient included."""
        leaves, spec = tree_flatten(state.params)
        value = self.loss(state.params, inputs)
        grads = torch.autograd.grad(
            value, leaves, create_graph=True, allow_unused=True, materialize_grads=True
        )
        return self.rule.update(t, state, tree_unflatten(list(grads), spec))

    def _plain_gradient(self, params: Tree, inputs: list[Any], spec: TreeSpec) -> Tree:
        constants = [x.detach() if isinstance(x, Tensor) else x for x in inputs]
        if self._compiled:  # the form that compiles
            return torch.func.grad(lambda p: self.loss(p, tree_unflatten(constants, spec)))(params)
        leaves, shape = tree_flatten(params)
        leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        with torch.enable_grad():
            value = self.loss(tree_unflatten(leaves, shape), tree_unflatten(constants, spec))
        grads = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
        return tree_unflatten(list(grads), shape)

    def _plain_product(
        self,
        params: Tree,
        direction: Tree,
        inputs: Parts,
        curvature: bool,
    ) -> tuple[Tree, list[Tensor]]:
        """Derivatives of ⟨gradient, direction⟩ by the parameters and the varied inputs."""
        varied, constants, which, spec = inputs

        def loss(own: Tree, given: list[Tensor]) -> Tensor:
            return self.product_loss(own, merge(which, given, constants, spec))

        if curvature:
            by_both = torch.func.grad(loss, argnums=(0, 1) if varied else (0,))

            def gradients(own: Tree) -> Any:
                return by_both(own, varied)

            tangents: Any = torch.func.jvp(gradients, (params,), (direction,))[1]
            return (tangents[0], tangents[1]) if varied else (tangents[0], [])

        def by_inputs(own: Tree) -> Any:
            return torch.func.grad(loss, argnums=1)(own, varied)

        # The loss reaches its inputs without the network: one forward product, no second
        # derivative of the network.
        mixed: Any = torch.func.jvp(by_inputs, (params,), (direction,))[1]
        return None, mixed


class Recomputed:
    """A tape that holds the state alone."""

    def __init__(
        self, step: GradientStep, t: int, state: State, grads: Tree | None, inputs: Inputs
    ) -> None:
        self.step, self.t, self.state, self.grads, self.inputs = step, t, state, grads, inputs

    def pullback(self, costate: State, *, curvature: bool) -> tuple[State, Tree]:
        """Carry a costate back by one forward-over-reverse product."""
        step = self.step
        before, of_grads, factor = step.rule.pullback(self.t, self.state, self.grads, costate)
        if not curvature and not self.inputs.which:
            return before, self.inputs.gradients([])
        if not step.forward_product:
            graph = Graph(step, self.t, self.state, self.inputs)
            return graph.through(before, of_grads, factor, curvature=curvature)
        bent, mixed = step._product(
            self.state.params,
            of_grads,
            self.inputs.parts(),
            curvature,
        )
        if curvature:
            before = _bent(before, bent, factor)
        return before, self.inputs.gradients([factor * g for g in mixed])


def _bent(before: State, bent: Tree, factor: float) -> State:
    """Add what comes through the gradient to a costate."""
    added = tree_map(lambda c, h: torch.add(c, h, alpha=factor), before.params, bent)
    return before._replace(params=added)


class Graph:
    """A tape that holds the graph of the step's gradient, to be differentiated once more."""

    def __init__(self, step: GradientStep, t: int, state: State, inputs: Inputs) -> None:
        self.step, self.t, self.state, self.inputs = step, t, state, inputs
        leaves, self.shape = tree_flatten(state.params)
        self.leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        self.varied = [x.requires_grad_() for x in inputs.detached()]
        given = merge(inputs.which, self.varied, inputs.constants(), inputs.spec)
        with torch.enable_grad():
            value = step.graph_loss(tree_unflatten(self.leaves, self.shape), given)
        self.grads = torch.autograd.grad(
            value, self.leaves, create_graph=True, allow_unused=True, materialize_grads=True
        )

    def values(self) -> Tree:
        """Return the gradient itself."""
        return tree_unflatten([g.detach() for g in self.grads], self.shape)

    def pullback(self, costate: State, *, curvature: bool) -> tuple[State, Tree]:
        """Carry a costate back through the kept graph, which is given up."""
        before, of_grads, factor = self.step.rule.pullback(
            self.t, self.state, self.values(), costate
        )
        return self.through(before, of_grads, factor, curvature=curvature)

    def through(
        self, before: State, of_grads: Tree, factor: float, *, curvature: bool
    ) -> tuple[State, Tree]:
        """Add what comes through the gradient, whose costate is `factor` times `of_grads`."""
        asked = [*(self.leaves if curvature else []), *self.varied]
        pairs = [
            (g, c)
            for g, c in zip(self.grads, tree_flatten(of_grads)[0], strict=True)
            if g.requires_grad
        ]
        if not asked or not pairs:  # a gradient that is constant
            return before, self.inputs.gradients([torch.zeros_like(x) for x in self.varied])
        outputs, costates = zip(*pairs, strict=True)
        found = torch.autograd.grad(
            outputs, asked, costates, allow_unused=True, materialize_grads=True
        )
        if curvature:
            bent = tree_unflatten(list(found[: len(self.leaves)]), self.shape)
            before = _bent(before, bent, factor)
            found = found[len(self.leaves) :]
        return before, self.inputs.gradients([factor * g for g in found])
