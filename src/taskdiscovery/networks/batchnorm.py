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

from typing import Any, NamedTuple

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
        moved = _Sum(x, rstd.dtype)
        if dx is not None:
            onto = _sums(dx, x, mean, rstd)
            w_r = weight.to(rstd.dtype) * rstd
            moved.add(dx, w_r)
            moved.shift(-w_r * onto.mean)
            moved.standard(-w_r * onto.slope, mean, rstd)
        if dw is not None:
            moved.standard(dw, mean, rstd)
        if db is not None:
            moved.shift(db)
        return moved.value(), None, None


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
        count, r = x.numel() // x.shape[1], rstd
        w = weight.to(r.dtype)
        # Means over the batch, of the gradient and of it times x̂.
        m_G, a_G = by_bias.to(r.dtype) / count, by_weight.to(r.dtype) / count
        moved = _Sum(x, r.dtype)
        moves_weight, moves_bias = torch.zeros_like(r), torch.zeros_like(r)
        of_G = torch.zeros_like(r)  # how much of D(G) comes in
        if dG is not None:
            onto = _sums(dG, x, mean, rstd)
            moves_weight, moves_bias = onto.slope * count, onto.mean * count
            moved.add(dG, w * r)
            moved.shift(-w * r * onto.mean)
            moved.standard(-w * r * onto.slope, mean, rstd)
        if dx is not None:
            onto = _sums(dx, x, mean, rstd)
            together = _sums(G, dx, torch.zeros_like(r), torch.ones_like(r)).slope
            bent = r * (together - onto.mean * m_G - onto.slope * a_G)  # ⟨x'·D(G)⟩
            moves_weight = moves_weight + bent * count
            scale = -w * r * r * a_G
            moved.add(dx, scale)
            moved.shift(-scale * onto.mean)
            moved.standard(-scale * onto.slope - w * r * bent, mean, rstd)
            of_G = of_G - w * r * onto.slope
        if dw is not None:
            of_G = of_G + dw.to(r.dtype)
        moved.add(G, of_G * r)
        moved.shift(-of_G * r * m_G)
        moved.standard(-of_G * r * a_G, mean, rstd)
        return moved.value(), moves_weight.to(weight.dtype), moves_bias.to(weight.dtype)


class _Means(NamedTuple):
    """Means over the batch: of maps, and of them times x̂."""

    mean: Tensor
    slope: Tensor


def _sums(maps: Tensor, x: Tensor, mean: Tensor, rstd: Tensor) -> _Means:
    """Return ⟨F⟩ and ⟨F·x̂⟩ of maps F in one pass, by the sums of the fused kernel."""
    ones = torch.ones_like(rstd)
    _, slope, total = _backward(
        maps, x, ones, None, None, mean, rstd, True, 0.0, [False, True, True]
    )
    count = x.numel() // x.shape[1]
    return _Means(total.to(rstd.dtype) / count, slope.to(rstd.dtype) / count)


class _Sum:
    """Maps times numbers a channel, added up: numbers first, each map in one pass."""

    def __init__(self, x: Tensor, dtype: torch.dtype) -> None:
        self.x, self.dtype = x, dtype
        self.parts: list[tuple[Tensor, Tensor]] = []
        self.by_x: Tensor | None = None
        self.rest: Tensor | None = None

    def add(self, maps: Tensor, factor: Tensor) -> None:
        """Add maps times a factor."""
        self.parts.append((maps, factor))

    def shift(self, amount: Tensor) -> None:
        """Add a number."""
        amount = amount.to(self.dtype)
        self.rest = amount if self.rest is None else self.rest + amount

    def standard(self, factor: Tensor, mean: Tensor, rstd: Tensor) -> None:
        """Add x̂ times a factor."""
        slope = factor.to(self.dtype) * rstd
        self.by_x = slope if self.by_x is None else self.by_x + slope
        self.shift(-slope * mean)

    def value(self) -> Tensor:
        """Return the sum."""
        x = self.x
        zeros = x.new_zeros(x.shape[1])
        total = _affine(
            x,
            zeros if self.by_x is None else self.by_x,
            zeros if self.rest is None else self.rest,
        )
        for maps, factor in self.parts:
            total.addcmul_(maps, _wide(factor, x))
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
