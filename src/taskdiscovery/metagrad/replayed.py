"""Functions of tensors that are called again and again with the same shapes, replayed on a GPU.

What they are called with is copied to where the graph reads; what it leaves there is copied out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

from taskdiscovery.runtime.capture import Captured


class Replayed:
    """A function of trees of tensors and of other values, recorded for each kind of arguments.

    On the CPU the same copies are made and the function is called.

    Args:
        function: of which every result is a tree of tensors (and None). It may depend on nothing
            but its arguments, must not change them, and takes all tensors for constants.
        pool: memory shared with other graphs; see `memory_pool`.
    """

    def __init__(self, function: Callable[..., Any], pool: Any = None) -> None:
        self.function, self.pool = function, pool
        self._recorded: dict[Hashable, _Recorded] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Call the function, or replay it, and return copies of what it gives."""
        leaves, spec = tree_flatten(arguments)
        kind = (_kind(spec), *map(_kind, leaves))
        found = self._recorded.get(kind)
        if found is None:
            found = _Recorded(self.function, leaves, spec, self.pool)
            self._recorded[kind] = found
        return found(leaves)


class _Recorded:
    """The function on arguments of one kind."""

    def __init__(
        self, function: Callable[..., Any], leaves: list[Any], spec: Any, pool: Any
    ) -> None:
        self.places = [
            torch.empty_like(x, requires_grad=False) if isinstance(x, Tensor) else x for x in leaves
        ]

        def work() -> Any:
            return function(*tree_unflatten(self.places, spec))

        device = next(x.device for x in leaves if isinstance(x, Tensor))
        self.work: Captured[Any] = Captured(work, device, pool=pool)

    def __call__(self, leaves: list[Any]) -> Any:
        with torch.no_grad():
            for place, x in zip(self.places, leaves, strict=True):
                if isinstance(place, Tensor):
                    place.copy_(x)
        return tree_map(_copied, self.work())


def _copied(x: Any) -> Any:
    return x.detach().clone() if isinstance(x, Tensor) else x


def _kind(x: Any) -> Hashable:
    """Return what a recorded graph depends on: of tensors how they lie, of other values all."""
    if isinstance(x, Tensor):
        return x.shape, x.stride(), x.dtype, x.device
    return repr(x) if isinstance(x, TreeSpec) else x
