"""Derivatives of convolutions by their weights, as matrix products where these are faster.

In bf16 with AVX-512, oneDNN's kernel for this derivative walks along rows of the output map. Where
rows are short it takes up to 2.4 times as long as a matrix product of the same size; with a stride,
two threads are at times no faster than one. The product needs the patches of the images side by
side in memory, which costs more than it saves where maps are large.
`python -m benchmarks.weight_gradients` measures both; `worthwhile` is drawn from it.

Axes: N images, C channels; maps are (N, C, H, W) in channels-last layout.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_backward = torch.ops.aten.convolution_backward

#: bytes of patches that lie in memory at once.
PATCHES = 2**25


class WeightGradientsByProducts(TorchFunctionMode):
    """Within this context convolutions that gain by it find their weights' derivative by products.

    It concerns those that autocast does on the CPU. The sums are the same, rounded otherwise. Their
    second derivative is not to be had.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Replace convolutions, and leave everything else as it is."""
        kwargs = kwargs or {}
        if func is torch.conv2d:
            found = _gaining(Call(*args, **kwargs))
            if found is not None:
                return _Convolution.apply(*found)  # type: ignore[no-untyped-call]
        return func(*args, **kwargs)


def worthwhile(
    kernel: int, stride: int, width: int, channels: tuple[int, int], threads: int
) -> bool:
    """Say whether the product is the faster way.

    Args:
        kernel: its width.
        stride: along the width.
        width: of the output map.
        channels: that enter, and that leave.
        threads: of this process.
    """
    if min(channels) < 32:
        return False
    if kernel == 1 or stride == 1:
        return width <= 2
    # With several threads the library is in some processes half as fast as in the others, for
    # as long as the process lives; the product is not, and otherwise as fast from 128 channels on.
    return width <= (8 if threads > 1 and channels[1] >= 128 else 4)


def weight_gradient(
    G: Tensor, x: Tensor, size: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    """Return the derivative by the weights, (C', C, kernel height, kernel width) float32.

    Args:
        G: (N, C', H', W') bf16, the derivative by the output.
        x: (N, C, H, W) bf16.
        size: height and width of the kernel.
        stride, padding: down and across.
    """
    channels, H_out, W_out = G.shape[1:]
    C = x.shape[1]
    width = size[0] * size[1] * C
    total = torch.zeros(channels, width)
    at_once = max(1, PATCHES // (H_out * W_out * width * x.element_size()))
    for images, upstream in zip(torch.split(x, at_once), torch.split(G, at_once), strict=True):
        patches = _patches(images, size, stride, padding, (H_out, W_out))
        n = len(images)
        parts = next(k for k in range(min(n, torch.get_num_threads()), 0, -1) if n % k == 0)
        rows = upstream.permute(0, 2, 3, 1).reshape(parts, -1, channels)
        products = torch.bmm(rows.transpose(1, 2), patches.view(parts, -1, width))
        total += products.sum(dim=0, dtype=torch.float32)
    return total.view(channels, *size, C).permute(0, 3, 1, 2)


def _patches(
    x: Tensor,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    out: tuple[int, int],
) -> Tensor:
    """Return (N·H'·W', kernel height · kernel width · C): what each output pixel has seen."""
    down, across = padding
    N, C, H, W = x.shape
    pixels = x.permute(0, 2, 3, 1)
    if down or across:
        framed = x.new_zeros(N, H + 2 * down, W + 2 * across, C)
        framed[:, down : down + H, across : across + W] = pixels
    else:
        framed = pixels.contiguous()
    image, row, pixel, _ = framed.stride()
    windows = framed.as_strided(
        (N, *out, *size, C), (image, row * stride[0], pixel * stride[1], row, pixel, 1)
    )
    return windows.reshape(-1, size[0] * size[1] * C)


class _Convolution(torch.autograd.Function):
    """A convolution in bf16.

    It saves what torch's own saves, in its order: a checkpointed layer is computed anew outside the
    context, and what it saves then takes the place of what was saved here.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> Tensor:
        kinds = (x.dtype, weight.dtype, None if bias is None else bias.dtype)
        x, weight = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        bias = None if bias is None else bias.to(torch.bfloat16)
        y = torch.conv2d(x, weight, bias, stride, padding)
        ctx.save_for_backward(x, weight)
        ctx.geometry, ctx.kinds = (stride, padding), kinds
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, G: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        stride, padding = ctx.geometry
        wanted = [ctx.needs_input_grad[0], False, ctx.needs_input_grad[2]]
        by_x = by_weight = by_bias = None
        G = G.contiguous(memory_format=torch.channels_last)
        if any(wanted):
            by_x, _, by_bias = _backward(
                G, x, weight, [len(weight)], stride, padding, [1, 1], False, [0, 0], 1, wanted
            )
        if ctx.needs_input_grad[1]:
            size = (weight.shape[2], weight.shape[3])
            by_weight = weight_gradient(G, x, size, stride, padding)
        found = zip((by_x, by_weight, by_bias), ctx.kinds, strict=True)
        return (*(g if g is None else g.to(kind) for g, kind in found), None, None)


class Call(NamedTuple):
    """The arguments of `torch.conv2d`, with its defaults."""

    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1


def _gaining(call: Call) -> tuple[Any, ...] | None:
    """Return what `_Convolution` takes; None for what does not gain by it."""
    x, weight = call.input, call.weight
    plain = call.groups == 1 and pair(call.dilation) == (1, 1)
    plain = plain and not isinstance(call.padding, str)
    if not plain or x.device.type != "cpu" or x.dim() != 4 or not weight.requires_grad:
        return None
    if not torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled():
        return None
    stride, padding = pair(call.stride), pair(call.padding)
    fan_out, fan_in, _, kernel = weight.shape
    width = (x.shape[3] + 2 * padding[1] - kernel) // stride[1] + 1
    if not worthwhile(kernel, stride[1], width, (fan_in, fan_out), torch.get_num_threads()):
        return None
    return x, weight, call.bias, stride, padding


def pair(value: Any) -> tuple[int, int]:
    """Return a stride, padding or dilation down and across."""
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))
