"""Networks by name: what they are built from, and the pixels they see.

`build` is the only door: it draws the weights from a seed of its own, leaves the global random
state as it was, and puts the pixel normalization in front, so that every model of this package
takes raw uint8 images.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from taskdiscovery.config.learners import Learner, Network, check_network, network_options
from taskdiscovery.config.specs import parse
from taskdiscovery.networks import adapters
from taskdiscovery.networks.convnet import ConvNet
from taskdiscovery.networks.guards import subsample_before_projections
from taskdiscovery.networks.linear import Linear
from taskdiscovery.networks.mlp import MLP
from taskdiscovery.networks.normalization import Normalization
from taskdiscovery.networks.resnet import resnet18, resnet50
from taskdiscovery.networks.vit import ViT

__all__ = [
    "NETWORKS",
    "Model",
    "Normalization",
    "build",
    "build_learner",
    "feature_size",
    "features",
    "flops",
    "last_linear",
]

#: the networks of the package; each is called as `factory(image_shape, outputs, **options)`.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "linear": Linear,
    "mlp": MLP,
    "convnet": ConvNet,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vit": ViT,
}


class Model(nn.Module):
    """A network with its pixel normalization in front.

    Args:
        network: maps normalized float images (N, channels, H, W) to (N, outputs).
        mean, std: per channel, in pixel values 0 to 255.
    """

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.float().view(1, -1, 1, 1))
        self.register_buffer("std", std.float().view(1, -1, 1, 1))

    mean: Tensor
    std: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Map uint8 (N, H, W, channels) to (N, outputs)."""
        return self.network(self.normalize(images))

    def normalize(self, images: Tensor) -> Tensor:
        """Map uint8 (N, H, W, channels) to floats (N, channels, H, W), laid out channels-last."""
        N, H, W, channels = images.shape
        # In one row an image is walked through as it lies in memory; a broadcast over three
        # channels takes five times as long.
        mean, std = self.mean.flatten().repeat(H * W), self.std.flatten().repeat(H * W)
        flat = images.reshape(N, -1).to(mean.dtype).sub_(mean).div_(std)
        return flat.view(N, H, W, channels).permute(0, 3, 1, 2)


def build(
    network: Network,
    image_shape: tuple[int, int, int],
    outputs: int,
    normalization: Normalization,
    seed: int,
) -> Model:
    """Build a network with fresh weights.

    Args:
        network: what to build: a SPEC, e.g. `convnet?width=0.5`, `package.module:factory`,
            `timm:NAME`, or a class or factory itself. Augmentations are left to the training.
        image_shape: (H, W, channels).
        outputs: number of outputs.
        normalization: of pixels, in 0 to 255.
        seed: decides the weights, and nothing else does.

    Returns:
        A model on the CPU, in channels-last layout.

    Raises:
        ConfigError: for an unknown name or option, or a factory that cannot be used.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = _network(network, image_shape, outputs)
    subsample_before_projections(made)
    model = Model(made, torch.tensor(normalization.mean), torch.tensor(normalization.std))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def build_learner(
    learner: Learner,
    image_shape: tuple[int, int, int],
    outputs: int,
    normalization: Normalization,
    seed: int,
) -> Model:
    """Build the network of a learner with fresh weights, on the learner's device."""
    return build(learner.network, image_shape, outputs, normalization, seed).to(learner.device)


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


def last_linear(model: nn.Module) -> nn.Linear | None:
    """Return the linear layer that comes last in the network, or None."""
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    return linears[-1] if linears else None


def _network(network: Network, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    if not isinstance(network, str):
        return adapters.from_object(network, image_shape, outputs)
    spec = parse(network).without("augment")
    check_network(spec)
    if spec.kind == "timm":
        return adapters.from_timm(spec.path, image_shape, outputs)
    if spec.kind == "torchvision":
        return adapters.from_torchvision(spec.path, image_shape, outputs)
    if spec.name not in NETWORKS:
        return adapters.from_factory(spec.name, image_shape, outputs, dict(spec.options))
    return NETWORKS[spec.name](image_shape, outputs, **network_options(spec))
