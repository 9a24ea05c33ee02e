"""What an outer loss is, and what its derivative looks like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from taskdiscovery.metagrad.rules import Tree

#: of t, the parameters before step t and the inputs of step t: a term of the outer loss, or None.
#: The last one has t = T, the final parameters and the last entry of the inputs, however many
#: steps were done.
Outer = Callable[[int, Tree, Tree], Tensor | None]
#: of t and the parameters before step t: whether the inner loop ends here.
Stop = Callable[[int, Tree], bool]


@dataclass(frozen=True, eq=False)
class MetaGradient:
    """An outer loss and its derivatives.

    Attributes:
        value: sum of the outer terms, detached.
        inputs: derivatives by the inputs, entry for entry as they were given, None for constants;
            None in place of the entries of steps that were not done or lie before the window.
        params: derivative by the initial parameters, or None if it was not asked for.
        final: parameters after the last step.
        steps: how many steps were done.
    """

    value: Tensor
    inputs: list[Tree]
    params: Tree | None
    final: Tree
    steps: int
