"""What keeps a fault of the libraries below from reaching a user's numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

#: input channels below which oneDNN's strided 1×1 convolution may write past its buffer: one
#: vector of floats, of 8 with AVX2 and 16 with AVX-512.
NARROW = 16


def subsample_before_projections(network: nn.Module) -> None:
    """Have narrow strided 1×1 convolutions drop the pixels that they skip, then go without stride.

    The result is the same. oneDNN's derivative of such a convolution by its weights, with
    channels-last images and fewer channels than a vector has lanes, writes past its workspace:
    wrong gradients, or a process that dies.

    Args:
        network: changed in place.

    Source: oneDNN issue 6035 (open in November 2026).
    """
    for layer in network.modules():
        if (
            isinstance(layer, nn.Conv2d)
            and layer.kernel_size == (1, 1)
            and layer.padding == (0, 0)
            and layer.in_channels // layer.groups < NARROW
            and max(layer.stride) > 1
        ):
            layer.register_forward_pre_hook(_Subsample(layer.stride))
            layer.stride = (1, 1)


class _Subsample:
    """Keeps every s-th row and column. A class, so that networks can still be copied."""

    def __init__(self, stride: tuple[int, ...]) -> None:
        self.stride = stride

    def __call__(self, _: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
        down, across = self.stride
        return (inputs[0][..., ::down, ::across], *inputs[1:])
