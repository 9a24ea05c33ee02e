"""A network with its pixel normalization in front, and what can be asked of it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from taskdiscovery.networks import foreign


class Model(nn.Module):
    """A network with its pixel normalization in front.

    Args:
        network: maps normalized float images (N, channels, H, W) to (N, outputs).
        mean, std: per channel, in pixel values 0 to 255.
        adopted: what is known of a network of the user's; None for one of the package.
    """

    def __init__(
        self,
        network: nn.Module,
        mean: Tensor,
        std: Tensor,
        adopted: foreign.Adopted | None = None,
    ) -> None:
        super().__init__()
        self.network, self.adopted = network, adopted
        self.register_buffer("mean", mean.float().view(1, -1, 1, 1))
        self.register_buffer("std", std.float().view(1, -1, 1, 1))

    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (N, H, W, channels) to (N, outputs).

        Raises:
            ConfigError: where a network of the user's fails.
        """
        if self.adopted is None:
            return self.network(self.normalize(images))
        with foreign.explained(self.adopted.asked):
            return self.network(self.normalize(images))

    def normalize(self, images: Tensor) -> Tensor:
        """Map uint8 (N, H, W, channels) to floats (N, channels, H, W), laid out channels-last."""
        N, H, W, channels = images.shape
        # In one row an image is walked through as it lies in memory; a broadcast over three
        # channels takes five times as long.
        mean, std = self.mean.flatten().repeat(H * W), self.std.flatten().repeat(H * W)
        flat = images.reshape(N, -1).to(mean.dtype).sub_(mean).div_(std)
        return flat.view(N, H, W, channels).permute(0, 3, 1, 2)


@torch.no_grad()
def flops(model: Model, image_shape: tuple[int, int, int]) -> float:
    """Count the operations of convolutions and linear layers, forward, for one image.

    Torch's own counter knows more operators and takes seconds to import.

    Args:
        model: left in evaluation mode.
        image_shape: (H, W, channels).
    """
    total = 0.0

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += 2 * output.numel() / weight.shape[0] * weight.numel()

    hooks = [
        layer.register_forward_hook(count)
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    try:
        model.eval()
        model(torch.zeros(2, *image_shape, dtype=torch.uint8, device=model.mean.device))
    finally:
        for hook in hooks:
            hook.remove()
    return total / 2


def draws(model: Model) -> bool:
    """Say whether a network draws random numbers while it trains, or may."""
    kinds = nn.modules.dropout._DropoutNd | nn.RReLU
    return model.adopted is not None or any(isinstance(m, kinds) for m in model.modules())


def features(model: Model, images: Tensor) -> Tensor:
    """Return what enters the last linear layer, (N, features); the output where there is none."""
    last = last_linear(model)
    if last is None:
        return model(images).flatten(1)
    captured: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: captured.append(inputs[0]))
    try:
        model(images)
    finally:
        hook.remove()
    return captured[-1].flatten(1)


def feature_size(model: Model) -> int | None:
    """Return how many features enter the last linear layer, or None where there is none."""
    last = last_linear(model)
    return None if last is None else last.in_features


def last_linear(model: Model) -> nn.Linear | None:
    """Return the linear layer that is asked last, or None where there is none."""
    if model.adopted is None:
        linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
        return linears[-1] if linears else None
    if model.adopted.last is None:
        return None
    found = model.network.get_submodule(model.adopted.last)
    assert isinstance(found, nn.Linear)
    return found


def output_layer(model: Model) -> nn.Linear | None:
    """Return the linear layer whose answer is the network's, or None where it ends otherwise."""
    ends = model.adopted is None or model.adopted.ends
    return last_linear(model) if ends else None
