"""Batch norm, addition and ReLU in training, in one pass over memory each way that needs one.

On a GPU a residual network spends half of its step on what stands between its convolutions, all of
it waiting for memory. Torch walks over a map five times forwards (statistics, normalization, ReLU)
and eight times backwards; these kernels take three and five, in a fixed order, so that the same
inputs give the same bits. Compiling a network (`torch.compile`) fuses less of it and takes half a
minute; these take two seconds once, and Triton remembers them.

Import this where Triton is installed: it comes with torch for CUDA.

Axes: N images, C channels, M = N · H · W pixels; maps are (N, C, H, W), channels-last, which is
(M, C) in memory.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from taskdiscovery.networks import kernels

#: pixels and channels that a program looks at together, and programs at once: four for each
#: multiprocessor of a large GPU, which is what it takes to keep its memory busy.
_PIXELS, _CHANNELS, _PROGRAMS = 64, 64, 528
#: of each program; with fewer some kernels need more registers than there are.
_WARPS = 8
#: programs whose sums are added up at once.
_SUMS = 128


def _cdiv(a: int, b: int) -> int:
    return -(-a // b)


def _grids(x: Tensor) -> tuple[int, int, int, int]:
    """Return M, C, how many spans of pixels there are, and how long each is."""
    C = int(x.shape[1])
    M = x.numel() // C
    columns = _cdiv(C, _CHANNELS)
    parts = max(1, min(_cdiv(M, _PIXELS), _PROGRAMS // columns))
    span = _cdiv(_cdiv(M, parts), _PIXELS) * _PIXELS
    return M, C, _cdiv(M, span), span


class _Activated(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor, norm: Any
    ) -> Tensor:
        M, C, parts, span = _grids(x)
        columns, narrow = _cdiv(C, _CHANNELS), _cdiv(C, _CHANNELS // 8)
        small: Any = {"dtype": torch.float32, "device": x.device}
        sums, squares = torch.empty((2, parts, C), **small)
        mean, rstd = torch.empty((2, C), **small)
        y = torch.empty_like(x)
        tile: Any = {"PIXELS": _PIXELS, "CHANNELS": _CHANNELS, "num_warps": _WARPS}
        kernels.moments[(parts, columns)](x, sums, squares, M, C, span, **tile)
        kernels.statistics[(narrow,)](
            *(sums, squares, mean, rstd, norm.running_mean, norm.running_var),
            *(norm.num_batches_tracked, M, C, span, parts, norm.eps, norm.momentum),
            SUMS=_SUMS,
            CHANNELS=_CHANNELS // 8,
        )
        kernels.activate[(_cdiv(M, _PIXELS), columns)](
            *(x, x if added is None else added, weight, bias, mean, rstd, y, M, C),
            ADDED=added is not None,
            **tile,
        )
        ctx.added = added is not None
        ctx.save_for_backward(x, weight, bias, mean, rstd, *([y] if ctx.added else []))
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Any:
        x, weight, bias, mean, rstd, *outputs = ctx.saved_tensors
        upstream = upstream.contiguous(memory_format=torch.channels_last)
        M, C, parts, span = _grids(x)
        columns, narrow = _cdiv(C, _CHANNELS), _cdiv(C, _CHANNELS // 8)
        small: Any = {"dtype": torch.float32, "device": x.device}
        sums, scaled = torch.empty((2, parts, C), **small)
        by_bias, by_weight = torch.empty((2, C), **small)
        by_x = torch.empty_like(x)
        passed = torch.empty_like(upstream) if ctx.added else upstream
        y = outputs[0] if ctx.added else x
        tile: Any = {"PIXELS": _PIXELS, "CHANNELS": _CHANNELS, "num_warps": _WARPS}
        kernels.upstream[(parts, columns)](
            *(upstream, x, y, weight, bias, mean, rstd, passed, sums, scaled, M, C, span),
            ADDED=ctx.added,
            **tile,
        )
        kernels.sum_parts[(narrow,)](
            *(sums, scaled, by_bias, by_weight, C, parts),
            SUMS=_SUMS,
            CHANNELS=_CHANNELS // 8,
        )
        kernels.by_map[(_cdiv(M, _PIXELS), columns)](
            *(passed, x, weight, bias, mean, rstd, by_bias, by_weight, by_x, M, C),
            THROUGH=ctx.added,
            **tile,
        )
        return by_x, passed if ctx.added else None, by_weight, by_bias, None


def activated(x: Tensor, norm: nn.BatchNorm2d, added: Tensor | None) -> Tensor:
    """Return ReLU(norm(x) + added) in training mode; the norm's statistics move.

    Args:
        x: (N, C, H, W), channels-last.
        norm: with weights, running statistics and a momentum.
        added: of the same shape and type, or None.
    """
    y: Tensor = _Activated.apply(x, added, norm.weight, norm.bias, norm)  # type: ignore[no-untyped-call]
    return y


def works(device: str) -> bool:
    """Say whether the kernels do on a device what the modules do; nothing random is drawn."""
    shape = (8, 64, 8, 8)
    with torch.enable_grad(), torch.autocast("cuda", enabled=False):
        wave = torch.arange(8 * 64 * 8 * 8, device=device, dtype=torch.float32).view(shape).sin()
        wave = wave.contiguous(memory_format=torch.channels_last)
        own, added = (x.to(torch.bfloat16).requires_grad_() for x in (wave * 3 + 1, wave.cos()))
        upstream = (wave * 5).cos().to(torch.bfloat16)
        norm = nn.BatchNorm2d(64).to(device)
        parameters = [norm.weight, norm.bias]
        for other in (None, added):
            inputs = [own, *([] if other is None else [other]), *parameters]
            y = activated(own, norm, other)
            plain = norm(own.float()) if other is None else norm(own.float()) + other.float()
            expected = plain.relu()
            pairs = [
                (y, expected),
                *zip(
                    torch.autograd.grad(y, inputs, upstream),
                    torch.autograd.grad(expected, inputs, upstream.float()),
                    strict=True,
                ),
            ]
            if any(
                bool((a.float() - b.float()).norm() > 0.02 * b.float().norm()) for a, b in pairs
            ):
                return False
    return True
