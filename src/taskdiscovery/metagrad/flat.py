"""A tree of tensors as one vector, and back.

Moved as one vector, a state is stored by one copy and added to by one kernel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from taskdiscovery.metagrad.rules import Tree


@dataclass(frozen=True)
class Layout:
    """Where the tensors of a tree lie in a vector: each in the order in which it lies in memory.

    Attributes:
        spec: of the tree.
        shapes: of the tensors.
        orders: of the axes of each, from that of the widest stride to that of the narrowest.
    """

    spec: TreeSpec
    shapes: list[torch.Size]
    orders: list[list[int]]

    @classmethod
    def of(cls, tree: Tree) -> Layout:
        """Return the layout of a tree of tensors, all of one type and on one device."""
        leaves, spec = tree_flatten(tree)
        shapes = [leaf.shape for leaf in leaves]
        return cls(spec, shapes, [_order(leaf) for leaf in leaves])

    def together(self, tree: Tree) -> Tensor:
        """Return the vector of a tree, a copy."""
        leaves = tree_flatten(tree)[0]
        rows = [x.permute(order).reshape(-1) for x, order in zip(leaves, self.orders, strict=True)]
        return torch.cat(rows)

    def apart(self, vector: Tensor) -> Tree:
        """Return the tree of a vector: views of it, each laid out in memory as it was.

        Its derivative is one copy.
        """
        parts = torch.split(vector, [math.prod(shape) for shape in self.shapes])
        leaves = []
        for part, shape, order in zip(parts, self.shapes, self.orders, strict=True):
            back = sorted(range(len(order)), key=order.__getitem__)
            leaves.append(part.view([shape[axis] for axis in order]).permute(back))
        return tree_unflatten(leaves, self.spec)


def _order(x: Tensor) -> list[int]:
    """Return the axes as they lie in memory, if the tensor lies there without gaps."""
    strides = x.stride()
    by_stride = sorted(range(x.dim()), key=lambda axis: -strides[axis])
    return by_stride if x.permute(by_stride).is_contiguous() else list(range(x.dim()))
