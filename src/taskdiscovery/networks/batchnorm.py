"""Batch norm whose second derivative takes a third of the passes over memory.

PyTorch differentiates batch norm a second time by a long chain of elementwise operations and slow
sums. Its first derivative is one fused kernel, and the second can be written with that kernel.

Per channel, with x̂ = (x − μ)·r, let D(F) = r·(F − ⟨F⟩ − x̂⟨F·x̂⟩) be the derivative by x of ⟨F, x̂⟩.
For upstream gradient G the first derivatives are w·D(G), Σ G·x̂ and Σ G. Given costates V, u, v of
these three, with K = ⟨V, D(G)⟩/r:

    by G:  w·D(V) + u·x̂ + v
    by w:  Σ V·D(G)
    by x:  −w·r·⟨G·x̂⟩·D(V) + (u − w·r·⟨V·x̂⟩)·D(G) − w·r²·K·x̂

Axes: N images, C channels; maps are (N, C, …) in any memory format.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

#: mean and inverse deviation of each channel, and what was added to the variance.
Moments = tuple[Tensor, Tensor, float]

_backward = torch.ops.aten.native_batch_norm_backward


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Standardize each channel over the batch, as `F.batch_norm` in training mode.

    Args:
        x: (N, C, …).
        weight, bias: (C,), or None for 1 and 0.
        eps: added to the variance.
    """
    C = x.shape[1]
    weight = x.new_ones(C) if weight is None else weight
    bias = x.new_zeros(C) if bias is None else bias
    y: Tensor = _Norm.apply(x, weight, bias, eps)  # type: ignore[no-untyped-call]
    return y


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, rstd = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> Any:
        x, weight, mean, rstd = ctx.saved_tensors
        moments = (mean, rstd, ctx.eps)
        found = _Derivative.apply(upstream[0], x, weight, moments)  # type: ignore[no-untyped-call]
        return (*found, None)


class _Derivative(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, G: Tensor, x: Tensor, weight: Tensor, moments: Moments
    ) -> tuple[Tensor, Tensor, Tensor]:
        by_x, by_weight, by_bias = _first(G, x, weight, moments)
        mean, rstd, ctx.eps = moments
        ctx.save_for_backward(G, x, weight, mean, rstd, by_weight)
        return by_x, by_weight, by_bias

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: FunctionCtx, V: Tensor, u: Tensor, v: Tensor) -> Any:
        G, x, weight, mean, rstd, scaled_G = ctx.saved_tensors  # type: ignore[attr-defined]
        moments = (mean, rstd, ctx.eps)  # type: ignore[attr-defined]
        count = x.numel() // x.shape[1]
        ones = torch.ones_like(weight)
        D_V, along_V, _ = _first(V, x, ones, moments)
        D_G, _, _ = _first(G, x, ones, moments)
        w, r, mu = weight.to(rstd.dtype), rstd, mean
        a_G, a_V = scaled_G.to(r.dtype) / count, along_V.to(r.dtype) / count
        u, v = u.to(r.dtype), v.to(r.dtype)
        dims = [d for d in range(x.dim()) if d != 1]
        by_weight = (V * D_G).sum(dim=dims, dtype=r.dtype)
        by_G = _affine(x, u * r, v - u * r * mu).addcmul_(D_V, _wide(w, x))
        bend = -w * r * r * by_weight / count
        by_x = _affine(x, bend, -bend * mu)
        by_x.addcmul_(D_V, _wide(-w * r * a_G, x)).addcmul_(D_G, _wide(u - w * r * a_V, x))
        return by_G, by_x, by_weight.to(weight.dtype), None


def _first(G: Tensor, x: Tensor, weight: Tensor, moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
    mean, rstd, eps = moments
    found: tuple[Tensor, Tensor, Tensor] = _backward(
        G, x, weight, None, None, mean, rstd, True, eps, [True, True, True]
    )
    return found


def _affine(x: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Return `x * factor + shift` per channel, in one pass."""
    return torch.addcmul(_wide(shift, x), x, _wide(factor, x))


def _wide(per_channel: Tensor, x: Tensor) -> Tensor:
    return per_channel.to(x.dtype).view(1, -1, *[1] * (x.dim() - 2))


class CheapSecondDerivative(TorchFunctionMode):
    """Within this context `F.batch_norm` without running statistics is the one above."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace batch norm, and leave everything else as it is."""
        kwargs = kwargs or {}
        if func is F.batch_norm:
            names = ("input", "running_mean", "running_var", "weight", "bias")
            given = {
                **dict(zip((*names, "training", "momentum", "eps"), args, strict=False)),
                **kwargs,
            }
            if given.get("running_mean") is None and given.get("training"):
                eps = given.get("eps", 1e-5)
                return batch_norm(given["input"], given.get("weight"), given.get("bias"), eps)
        return func(*args, **kwargs)
