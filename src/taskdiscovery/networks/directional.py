"""Convolutions and linear layers whose gradients are differentiated along a direction.

Forward-over-reverse does everything twice: the gradient itself, and how it moves. Of the gradient
by a weight only the second is read. For upstream gradient G, input x and their movements G', x' it
is ∇(G', x) + ∇(G, x'), a sum over images: one call on twice the batch. So a layer does 8 products
in place of 9, in fewer and larger calls.

Axes: N images, C channels; maps are (N, C, H, W), rows (…, C).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from taskdiscovery.networks.convolutions import Call, pair

_backward = torch.ops.aten.convolution_backward


class GradientsAlongADirection(TorchFunctionMode):
    """Within this context the gradients by some weights move along a direction, and are not known.

    Their values come out as 0. They must be read by nobody: of `torch.func.jvp(torch.func.grad(f))`
    the second part is right, and the first is not.

    Args:
        weights: the parameters themselves. What is computed from parameters (a weight that is
            normalized) has a derivative that hangs on the gradient's value, and is left as it is.
    """

    def __init__(self, weights: Collection[Tensor]) -> None:
        super().__init__()
        self.weights = {id(weight) for weight in weights}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace layers on such weights, and leave everything else as it is."""
        kwargs = kwargs or {}
        if func is F.linear:
            found = _linear(*args, **kwargs)
        elif func is torch.conv2d:
            found = _convolution(Call(*args, **kwargs))
        else:
            return func(*args, **kwargs)
        if found is None or id(found[1]) not in self.weights:
            return func(*args, **kwargs)
        return _Layer.apply(*found)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Linear:
    """Rows times a matrix."""

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    def by_input(self, G: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        return G @ weight

    def by_weight(self, G: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        return G.flatten(0, -2).T @ x.flatten(0, -2)

    def by_bias(self, G: Tensor) -> Tensor:
        return G.flatten(0, -2).sum(dim=0)


@dataclass(frozen=True)
class _Convolution:
    """A convolution of maps.

    Attributes:
        stride, padding, dilation: down and across.
        groups: of channels.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return torch.conv2d(x, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def by_input(self, G: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        by_x: Tensor = self._backward(G, x, weight, [True, False, False])[0]
        return by_x

    def by_weight(self, G: Tensor, x: Tensor, weight: Tensor) -> Tensor:
        by_weight: Tensor = self._backward(G, x, weight, [False, True, False])[1]
        return by_weight

    def by_bias(self, G: Tensor) -> Tensor:
        return G.sum(dim=(0, 2, 3))

    def _backward(self, G: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]) -> Any:
        way = (self.stride, self.padding, self.dilation, False, [0, 0], self.groups)
        return _backward(G, x, weight, None, *way, wanted)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    if input.dim() < 2 or weight.dim() != 2:
        return None
    return input, weight, bias, _Linear()


def _convolution(call: Call) -> Any:
    if call.input.dim() != 4 or isinstance(call.padding, str):
        return None
    kind = _Convolution(pair(call.stride), pair(call.padding), pair(call.dilation), call.groups)
    return call.input, call.weight, call.bias, kind


class _Layer(torch.autograd.Function):
    """A layer that is linear in its input and in its weight."""

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor | None, kind: _Linear | _Convolution
    ) -> Tensor:
        return kind.forward(x, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, _, ctx.kind = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        (G,), (x, weight), kind = upstream, ctx.saved_tensors, ctx.kind
        for_x, for_weight, for_bias, _ = ctx.needs_input_grad
        by_x = kind.by_input(G, x, weight) if for_x else None
        by_weight = None
        if for_weight:
            by_weight = _WeightGradient.apply(G, x, weight, kind)  # type: ignore[no-untyped-call]
        return by_x, by_weight, kind.by_bias(G) if for_bias else None, None

    @staticmethod
    def jvp(ctx: Any, dx: Any, dw: Any, db: Any, _: Any) -> Any:
        (x, weight), kind = ctx.saved_tensors, ctx.kind
        moved = None if dw is None else kind.forward(x, dw, db)
        if dx is not None:
            through = kind.forward(dx, weight, None)
            moved = through if moved is None else moved.add_(through)
        if dw is None and db is not None:
            raise NotImplementedError("a bias moves, and its weight does not")
        return moved


class _WeightGradient(torch.autograd.Function):
    """How the gradient by a weight moves; its value is left out."""

    @staticmethod
    def forward(G: Tensor, x: Tensor, weight: Tensor, kind: _Linear | _Convolution) -> Tensor:
        return torch.zeros_like(weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        G, x, weight, ctx.kind = inputs
        ctx.set_materialize_grads(False)
        ctx.save_for_forward(G, x, weight)
        ctx.save_for_backward(G, x, weight)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        raise RuntimeError("the value of this gradient is not known, and cannot be differentiated")

    @staticmethod
    def jvp(ctx: Any, dG: Any, dx: Any, _weight: Any, _kind: Any) -> Any:
        (G, x, weight), kind = ctx.saved_tensors, ctx.kind
        if dG is None:
            return kind.by_weight(G, dx, weight)
        if dx is None:
            return kind.by_weight(dG, x, weight)
        return kind.by_weight(torch.cat([dG, G]), torch.cat([x, dx]), weight)
