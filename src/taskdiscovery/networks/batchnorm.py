"""Batch norm whose second derivative takes a third of the passes over memory.

PyTorch differentiates batch norm a second time by a long chain of elementwise operations and slow
sums, and forward by 25 passes over memory. Its first derivative is one fused kernel, and all others
can be written with that kernel and the sums that it takes.

Per channel, with x̂ = (x − μ)·r, let D(F) = r·(F − ⟨F⟩ − x̂⟨F·x̂⟩) be the derivative by x of ⟨F, x̂⟩.
For upstream gradient G the first derivatives are w·D(G), Σ G·x̂ and Σ G. Given costates V, u, v of
these three, with K = ⟨V, D(G)⟩/r:

    by G:  w·D(V) + u·x̂ + v
    by w:  Σ V·D(G)
    by x:  −w·r·⟨G·x̂⟩·D(V) + (u − w·r·⟨V·x̂⟩)·D(G) − w·r²·K·x̂

Along a direction x', w', b', G' the output and the three derivatives move by

    w·D(x') + w'·x̂ + b'
    w·D(G') + w'·D(G) − w·r·⟨G·x̂⟩·D(x') − w·r·⟨x'·x̂⟩·D(G) − w·r²·K·x̂   with V = x' in K
    Σ G'·x̂ + Σ x'·D(G)
    Σ G'

which are the same by symmetry: maps times numbers a channel, once their sums are known.

Axes: N images, C channels; maps are (N, C, …) in any memory format.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_backward = torch.ops.aten.native_batch_norm_backward


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, *, wide: bool = False
) -> Tensor:
    """Standardize each channel over the batch, as `F.batch_norm` in training mode.

    Args:
        x: (N, C, …).
        weight, bias: (C,), or None for 1 and 0.
        eps: added to the variance.
        wide: whether the statistics of 16-bit maps are float32.
    """
    C = x.shape[1]
    dtype = torch.float32 if wide and x.element_size() < 4 else None
    weight = x.new_ones(C) if weight is None else weight
    bias = x.new_zeros(C) if bias is None else bias
    y: Tensor = _Norm.apply(x, weight.to(dtype), bias.to(dtype), eps)[0]  # type: ignore[no-untyped-call]
    return y


class _Norm(torch.autograd.Function):
    """The output; and mean and inverse deviation of each channel, which nothing flows through."""

    @staticmethod
    def forward(
        x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        found: tuple[Tensor, Tensor, Tensor] = torch.native_batch_norm(
            x, weight, bias, None, None, True, 0.0, eps
        )
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        x, weight, _, ctx.eps = inputs
        _, mean, rstd = output
        ctx.mark_non_differentiable(mean, rstd)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, weight, mean, rstd)
        ctx.save_for_forward(x, weight, mean, rstd)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> Any:
        if upstream[0] is None:
            return None, None, None, None
        x, weight, mean, rstd = ctx.saved_tensors
        given = (upstream[0], x, weight, mean, rstd, ctx.eps)
        found = _Derivative.apply(*given)  # type: ignore[no-untyped-call]
        return (*found, None)

    @staticmethod
    def jvp(ctx: Any, *along: Any) -> Any:
        x, weight, mean, rstd = ctx.saved_tensors
        dx, dw, db, _ = along
        share, nothing = -x.shape[1] / x.numel(), torch.zeros_like(rstd)
        slope, total = _sums(dx, x, weight, mean, rstd)
        # Numbers by which x' and x are multiplied, and what is left: few, for each is a kernel.
        by_dx = weight.to(rstd.dtype) * rstd
        by_x = torch.addcmul(_known(dw, nothing), by_dx, slope, value=share) * rstd
        rest = torch.addcmul(_known(db, nothing), by_dx, total, value=share)
        rest.addcmul_(by_x, mean, value=-1)
        return _combined(x, by_x, rest, [(dx, by_dx)]), None, None


class _Derivative(torch.autograd.Function):
    """The three first derivatives."""

    @staticmethod
    def forward(
        G: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        return _first(G, x, weight, mean, rstd, eps)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        G, x, weight, mean, rstd, ctx.eps = inputs
        _, by_weight, by_bias = output
        ctx.save_for_backward(G, x, weight, mean, rstd, by_weight)
        ctx.save_for_forward(G, x, weight, mean, rstd, by_weight, by_bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, V: Tensor, u: Tensor, v: Tensor) -> Any:
        G, x, weight, mean, rstd, scaled_G = ctx.saved_tensors
        moments = (mean, rstd, ctx.eps)
        count = x.numel() // x.shape[1]
        ones = torch.ones_like(weight)
        D_V, along_V, _ = _first(V, x, ones, *moments)
        D_G, _, _ = _first(G, x, ones, *moments)
        w, r, mu = weight.to(rstd.dtype), rstd, mean
        a_G, a_V = scaled_G.to(r.dtype) / count, along_V.to(r.dtype) / count
        u, v = u.to(r.dtype), v.to(r.dtype)
        dims = [d for d in range(x.dim()) if d != 1]
        by_weight = (V * D_G).sum(dim=dims, dtype=r.dtype)
        by_G = _affine(x, u * r, v - u * r * mu).addcmul_(D_V, _wide(w, x))
        bend = -w * r * r * by_weight / count
        by_x = _affine(x, bend, -bend * mu)
        by_x.addcmul_(D_V, _wide(-w * r * a_G, x)).addcmul_(D_G, _wide(u - w * r * a_V, x))
        return by_G, by_x, by_weight.to(weight.dtype), None, None, None

    @staticmethod
    def jvp(ctx: Any, *along: Any) -> Any:
        G, x, weight, mean, rstd, by_weight, by_bias = ctx.saved_tensors
        dG, dx, dw = along[:3]
        share, r = -x.shape[1] / x.numel(), rstd
        nothing = torch.zeros_like(r)
        slope_G, total_G = by_weight.to(r.dtype), by_bias.to(r.dtype)
        slope_dG, total_dG = _sums(dG, x, weight, mean, r)
        slope_dx, total_dx = _sums(dx, x, weight, mean, r)
        bent = nothing if dx is None else _sums(G, dx, weight, nothing, torch.ones_like(r))[0]
        bent = bent.addcmul(total_dx, total_G, value=share)  # becomes Σ x'·D(G)
        bent = bent.addcmul_(slope_dx, slope_G, value=share).mul_(r)
        moves_weight = slope_dG + bent
        # Numbers by which G', x', G and x are multiplied, and what is left.
        by_dG = weight.to(r.dtype) * r
        by_dx = (by_dG * r).mul_(slope_G).mul_(share)
        by_G = _known(dw, nothing).addcmul(by_dG, slope_dx, value=share).mul_(r)
        by_x = (by_dG * moves_weight).addcmul_(by_dx, slope_dx).addcmul_(by_G, slope_G)
        by_x = by_x.mul_(r).mul_(share)
        rest = (by_dG * total_dG).addcmul_(by_dx, total_dx).addcmul_(by_G, total_G)
        rest = rest.mul_(share).addcmul_(by_x, mean, value=-1)
        moved = _combined(x, by_x, rest, [(dG, by_dG), (dx, by_dx), (G, by_G)])
        return moved, moves_weight.to(weight.dtype), total_dG.to(weight.dtype)


def _sums(
    maps: Tensor | None, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor
) -> tuple[Tensor, Tensor]:
    """Return Σ F·x̂ and Σ F of maps F in one pass, as the fused kernel takes them."""
    if maps is None:
        return torch.zeros_like(rstd), torch.zeros_like(rstd)
    sums_alone = [False, True, True]
    found = _backward(maps, x, weight, None, None, mean, rstd, True, 0.0, sums_alone)
    return found[1].to(rstd.dtype), found[2].to(rstd.dtype)


def _known(per_channel: Tensor | None, nothing: Tensor) -> Tensor:
    return nothing if per_channel is None else per_channel.to(nothing.dtype)


def _combined(
    x: Tensor, by_x: Tensor, rest: Tensor, others: list[tuple[Tensor | None, Tensor]]
) -> Tensor:
    """Return `x * by_x + rest` and other maps times numbers a channel, each in one pass."""
    numbers = [by_x, rest, *(factor for _, factor in others)]
    if by_x.dtype != x.dtype:
        numbers = list(torch.stack(numbers).to(x.dtype))
    wide = [_wide(each, x) for each in numbers]
    total = torch.addcmul(wide[1], x, wide[0])
    for (maps, _), factor in zip(others, wide[2:], strict=True):
        if maps is not None:
            total.addcmul_(maps, factor)
    return total


def _first(
    G: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
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
    """Within this context `F.batch_norm` without running statistics is the one above.

    Args:
        wide: whether the statistics of 16-bit maps are float32.
    """

    def __init__(self, *, wide: bool = False) -> None:
        super().__init__()
        self.wide = wide

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
                x, weight, bias = (given.get(name) for name in ("input", "weight", "bias"))
                assert isinstance(x, Tensor)
                return batch_norm(x, weight, bias, given.get("eps", 1e-5), wide=self.wide)
        return func(*args, **kwargs)
