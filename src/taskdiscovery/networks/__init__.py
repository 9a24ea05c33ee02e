"""Networks by name: what they are built from, and the pixels they see.

`build` is the only door: it draws the weights from a seed of its own, leaves the global random
state as it was, and puts the pixel normalization in front, so that every model of this package
takes raw uint8 images. A network of the user's is made to fit there, or refused.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from taskdiscovery.config.learners import (
    CONVEX,
    Network,
    ResolvedLearner,
    check_network,
    name_of,
    network_options,
)
from taskdiscovery.config.specs import parse
from taskdiscovery.networks import adapters, foreign, lite0
from taskdiscovery.networks.convnet import ConvNet
from taskdiscovery.networks.guards import subsample_before_projections
from taskdiscovery.networks.linear import Linear
from taskdiscovery.networks.mlp import MLP
from taskdiscovery.networks.model import (
    Model,
    feature_size,
    features,
    flops,
    last_linear,
    output_layer,
)
from taskdiscovery.networks.normalization import Normalization
from taskdiscovery.networks.pretrained import Pretrained
from taskdiscovery.networks.resnet import resnet18, resnet50
from taskdiscovery.networks.vit import ViT
from taskdiscovery.runtime import random_states

__all__ = [
    "NETWORKS",
    "Model",
    "Normalization",
    "build",
    "build_learner",
    "feature_size",
    "features",
    "flops",
    "is_ours",
    "last_linear",
    "output_layer",
]

#: the networks of the package; each is called as `factory(image_shape, outputs, **options)`.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "linear": Linear,
    "mlp": MLP,
    "convnet": ConvNet,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "vit": ViT,
    "lite0": lite0.learner,
}


def build(
    network: Network,
    image_shape: tuple[int, int, int],
    outputs: int,
    normalization: Normalization,
    seed: int | None,
    *,
    device: str = "",
) -> Model:
    """Build a network with fresh weights, or with those it was trained to before.

    Args:
        network: what to build: a SPEC, e.g. `convnet?width=0.5`, `package.module:factory`,
            `timm:NAME`, or a class or factory itself. Augmentations are left to the training.
        image_shape: (H, W, channels).
        outputs: number of outputs.
        normalization: of pixels, in 0 to 255; a pretrained network has one of its own.
        seed: decides the weights, and nothing else does; of a pretrained network its last layer.
            None where all weights are set next: a pretrained network does not look for its own.
        device: where it is to be, if elsewhere than where its weights are drawn.

    Returns:
        A model in channels-last layout, or in whatever a network of the user's needs.

    Raises:
        ConfigError: for an unknown name or option, a factory that cannot be used, or a network that
            fails on such images.
        TaskDiscoveryError: where pretrained weights are missing, or of another network.
    """
    ours = is_ours(network)
    asked = foreign.Asked(name=name_of(network), image_shape=image_shape, outputs=outputs)
    with random_states.private_torch(seed or 0, device or None):
        made = _network(network, image_shape, outputs)
        if not ours:
            foreign.complete(made, asked)
    if isinstance(made, Pretrained):  # raw pixels go in
        normalization = Normalization.none(image_shape[2])
        if seed is not None:
            made.take_weights()
    subsample_before_projections(made)
    mean, std = torch.tensor(normalization.mean), torch.tensor(normalization.std)
    if not ours:  # it may work nowhere else
        made = made.to(device) if device else made
        model = Model(made, mean, std, foreign.adopt(made, asked))
    else:
        model = Model(made, mean, std)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return model.to(device) if device else model


def is_ours(network: Network) -> bool:
    """Say whether a network is one of the package's, or a learner of its that is none."""
    return isinstance(network, str) and parse(network).name in (*NETWORKS, *CONVEX)


def build_learner(
    learner: ResolvedLearner,
    image_shape: tuple[int, int, int],
    outputs: int,
    normalization: Normalization,
    seed: int,
) -> Model:
    """Build the network of a learner with fresh weights, on the learner's device."""
    own = learner.network
    return build(own, image_shape, outputs, normalization, seed, device=learner.device)


def _network(network: Network, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    if not isinstance(network, str):
        return adapters.from_object(network, image_shape, outputs)
    spec = parse(network).without("augment")
    check_network(spec)
    if spec.kind in ("timm", "torchvision"):
        return adapters.from_library(spec, image_shape, outputs)
    if spec.name not in NETWORKS:
        return adapters.from_factory(spec.name, image_shape, outputs, dict(spec.options))
    return NETWORKS[spec.name](image_shape, outputs, **network_options(spec))
