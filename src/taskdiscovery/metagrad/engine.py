"""The gradient of an outer loss through the steps of an inner loop, exactly.

Write c_t for the derivative of the outer loss by the state before step t. It is known at the end,
and each step carries it one back, leaving the derivative by the step's own inputs on the way. What
a step needs for that is its tape. There are three ways to hold tapes, from fast to frugal:

* `graphs` keeps the graph of every step's gradient;
* `store` keeps every state, and goes back by forward-over-reverse products;
* `recompute` keeps every √T-th state, and does the steps in between again.

The engine knows nothing of tasks, networks or images.

Source: the costate recursion is reverse accumulation (Maclaurin et al. 2015, arXiv 1502.03492);
forward-over-reverse products are those of Pearlmutter 1994.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from taskdiscovery.metagrad.outer import MetaGradient, Outer, Stop
from taskdiscovery.metagrad.reverse import reverse
from taskdiscovery.metagrad.rules import State, Tree
from taskdiscovery.metagrad.steps import Inputs, Step, Tape, merge

MODES = ("exact", "reverse", "truncated", "first_order")
MEMORY = ("graphs", "store", "recompute")


def metagrad(
    step: Step,
    outer: Outer,
    params: Tree,
    inputs: Sequence[Tree],
    *,
    mode: str = "exact",
    memory: str = "graphs",
    window: int = 1,
    with_params: bool = False,
    stop: Stop | None = None,
) -> MetaGradient:
    """Differentiate an outer loss through an inner loop.

    Args:
        step: the inner step.
        outer: terms of the outer loss.
        params: a tree of initial parameters.
        inputs: T + 1 trees: entry t feeds step t and the outer term there, the last one feeds the
            final outer term only. Tensors that require a gradient are differentiated.
        mode: `exact`; `reverse`, the plain unroll that the published code does, as an oracle;
            `truncated` to the last `window` steps; `first_order`, which takes the inner loop's
            curvature for zero.
        memory: how an exact gradient is stored: `graphs`, `store` or `recompute`.
        window: steps that `truncated` goes back through; 1 needs one forward product. Terms of
            the outer loss before the window are left out.
        with_params: also differentiate by the initial parameters.
        stop: ends the inner loop early.

    Returns:
        The value, the derivatives, and the final parameters.

    Raises:
        ValueError: for an unknown mode or memory.
    """
    if mode not in MODES or memory not in MEMORY:
        raise ValueError(f"unknown mode {mode!r} or memory {memory!r}")
    if mode == "reverse":
        return reverse(step, outer, params, inputs, with_params=with_params, stop=stop)
    state = State(*tree_map(torch.detach, step.init(params)))
    T = len(inputs) - 1
    # Tapes older than the window are dropped on the way, wherever the loop may end.
    track = _Track(step, inputs, memory, window if mode == "truncated" else T)
    done = 0
    while done < T and not (stop is not None and stop(done, state.params)):
        state = track.advance(done, state)
        done += 1
    first = max(0, done - window) if mode == "truncated" else 0

    found: list[Tree] = [None] * (T + 1)
    value, by_params, by_inputs = _term(outer, T, state.params, inputs[T])
    total = value if value is not None else torch.zeros(())
    found[T] = by_inputs
    if value is None:
        by_params = tree_map(torch.zeros_like, state.params)
    costate = State(by_params, tree_map(torch.zeros_like, state.slots))
    for t in range(done - 1, first - 1, -1):
        before_params, tape = track.back(t)
        # Nobody asks for the costate before the first step: its curvature is not needed there.
        last = t == first and not (with_params and first == 0)
        curvature = mode != "first_order" and not last
        costate, by_inputs = tape.pullback(costate, curvature=curvature)
        del tape
        found[t] = by_inputs
        value, by_params, by_own = _term(outer, t, before_params, inputs[t])
        if value is not None:
            total = total + value
            costate = costate._replace(params=tree_map(torch.add, costate.params, by_params))
            found[t] = tree_map(_sum, found[t], by_own)
    return MetaGradient(
        value=total.detach(),
        inputs=found,
        params=costate.params if with_params else None,
        final=state.params,
        steps=done,
    )


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


def _term(outer: Outer, t: int, params: Tree, inputs: Tree) -> tuple[Tensor | None, Tree, Tree]:
    """Return a term of the outer loss and its derivatives by parameters and inputs.

    Without a term there are none by the parameters either: None.
    """
    parts = Inputs(inputs)
    leaves, shape = tree_flatten(params)
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    varied = [x.requires_grad_() for x in parts.detached()]
    with torch.enable_grad():
        given = merge(parts.which, varied, parts.constants(), parts.spec)
        value = outer(t, tree_unflatten(leaves, shape), given)
    absent: list[Tensor | None] = [None] * len(varied)
    if value is None:
        return None, None, parts.gradients(absent)
    if not value.requires_grad:
        zeros = [torch.zeros_like(leaf) for leaf in leaves]
        return value, tree_unflatten(zeros, shape), parts.gradients(absent)
    found = torch.autograd.grad(
        value, [*leaves, *varied], allow_unused=True, materialize_grads=True
    )
    by_params = tree_unflatten(list(found[: len(leaves)]), shape)
    return value.detach(), by_params, parts.gradients(found[len(leaves) :])


class _Track:
    """The tapes of the steps done, as the choice of memory has it."""

    def __init__(self, step: Step, inputs: Sequence[Tree], memory: str, window: int) -> None:
        self.step, self.inputs, self.memory, self.window = step, inputs, memory, window
        self.stride = max(1, round(math.sqrt(len(inputs) - 1))) if memory == "recompute" else 1
        self.states: dict[int, State] = {}
        self.tapes: dict[int, tuple[State, Tape]] = {}

    def advance(self, t: int, state: State) -> State:
        """Do step t, and keep what the way back needs."""
        after, tape = self.step.forward(t, state, self.inputs[t], graph=self.memory == "graphs")
        if self.memory != "recompute":
            self.tapes[t] = (state, tape)
            self.tapes.pop(t - self.window, None)
        elif t % self.stride == 0:
            self.states[t] = state
            self.states.pop(t - self.window - self.stride, None)
        return after

    def back(self, t: int) -> tuple[Tree, Tape]:
        """Return the parameters before step t and its tape, which is given up."""
        if t not in self.tapes:
            start = max(s for s in self.states if s <= t)
            state = self.states.pop(start)
            for s in range(start, t + 1):
                after, tape = self.step.forward(s, state, self.inputs[s], graph=False)
                self.tapes[s] = (state, tape)
                state = after
        state, tape = self.tapes.pop(t)
        return state.params, tape
