"""Steps made of others: any function that autograd can differentiate, and several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from taskdiscovery.metagrad.rules import State, Tree
from taskdiscovery.metagrad.steps import Inputs, Step, Tape, merge


class FunctionStep:
    """Any step at all: a function of its number, the parameters and the inputs.

    Args:
        function: returns new parameters, with operations that autograd can differentiate (an
            inner gradient must be taken with `create_graph=True`).
    """

    def __init__(self, function: Callable[[int, Tree, Tree], Tree]) -> None:
        self.function = function

    def init(self, params: Tree) -> State:
        """Return the state before the first step."""
        return State(params)

    def forward(self, t: int, state: State, inputs: Tree, *, graph: bool) -> tuple[State, Tape]:
        """Do step `t`; with `graph` the tape keeps the graph, else it is made again."""
        tape = _Function(self, t, state, Inputs(inputs))
        outputs = tape.run()
        if graph:
            tape.kept = outputs
        return State(tree_map(torch.detach, outputs)), tape

    def differentiable(self, t: int, state: State, inputs: Tree) -> State:
        """Do step `t` as one piece of an autograd graph."""
        return State(self.function(t, state.params, inputs))


class _Function:
    def __init__(self, step: FunctionStep, t: int, state: State, inputs: Inputs) -> None:
        self.step, self.t, self.inputs = step, t, inputs
        leaves, self.shape = tree_flatten(state.params)
        self.leaves = [leaf.detach().requires_grad_() for leaf in leaves]
        self.varied = [x.requires_grad_() for x in inputs.detached()]
        self.kept: Tree | None = None

    def run(self) -> Tree:
        given = merge(self.inputs.which, self.varied, self.inputs.constants(), self.inputs.spec)
        with torch.enable_grad():
            return self.step.function(self.t, tree_unflatten(self.leaves, self.shape), given)

    def pullback(self, costate: State, *, curvature: bool) -> tuple[State, Tree]:
        outputs, _ = tree_flatten(self.run() if self.kept is None else self.kept)
        asked = [*(self.leaves if curvature else []), *self.varied]
        found = torch.autograd.grad(
            outputs,
            asked,
            tree_flatten(costate.params)[0],
            allow_unused=True,
            materialize_grads=True,
        )
        before = costate
        if curvature:
            before = State(tree_unflatten(list(found[: len(self.leaves)]), self.shape))
            found = found[len(self.leaves) :]
        return before, self.inputs.gradients(found)


class Parallel:
    """Several steps side by side, each with parameters and inputs of its own.

    They meet in the outer loss alone, so on the way back one is done after the other, and only one
    holds its activations. Parameters and inputs are tuples, one entry a step.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = tuple(steps)

    def init(self, params: Tree) -> State:
        """Return the states before the first step."""
        return _joined([s.init(p) for s, p in zip(self.steps, params, strict=True)])

    def forward(self, t: int, state: State, inputs: Tree, *, graph: bool) -> tuple[State, Tape]:
        """Do step `t` of each."""
        done = [
            step.forward(t, own, given, graph=graph)
            for step, own, given in zip(self.steps, _apart(state), inputs, strict=True)
        ]
        return _joined([state for state, _ in done]), _Tapes([tape for _, tape in done])

    def differentiable(self, t: int, state: State, inputs: Tree) -> State:
        """Do step `t` of each as one piece of an autograd graph."""
        return _joined(
            [
                step.differentiable(t, own, given)
                for step, own, given in zip(self.steps, _apart(state), inputs, strict=True)
            ]
        )


class _Tapes:
    def __init__(self, tapes: list[Tape]) -> None:
        self.tapes = tapes

    def pullback(self, costate: State, *, curvature: bool) -> tuple[State, Tree]:
        pulled = []
        for number, own in enumerate(_apart(costate)):
            pulled.append(self.tapes[number].pullback(own, curvature=curvature))
        return _joined([state for state, _ in pulled]), tuple(given for _, given in pulled)


def _joined(states: Sequence[State]) -> State:
    return State(tuple(s.params for s in states), tuple(s.slots for s in states))


def _apart(state: State) -> list[State]:
    return [State(p, s) for p, s in zip(state.params, state.slots, strict=True)]
