"""`timm:NAME?weights=FILE` and `torchvision:NAME?weights=FILE`: models of libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskdiscovery.config.pixels import PIXEL_OPTIONS, pixels_of
from taskdiscovery.config.specs import Spec
from taskdiscovery.features.backbones.kind import Kind, Network, required, wrong_weights
from taskdiscovery.types import Backbone, Document

if TYPE_CHECKING:
    from torch import Tensor, nn

_WHY = (
    "add weights=FILE.safetensors: features of an untrained network mean nothing, and nothing is "
    "downloaded"
)


def _resolve(spec: Spec) -> Backbone:
    from taskdiscovery.networks import adapters, pretrained

    file = required(spec, "weights", _WHY)
    pretrained.check_weights(file)
    if spec.kind == "timm":
        known: Document = adapters.timm_pixels(adapters.timm_model(spec.path))
    else:
        adapters.torchvision_model(spec.path)
        known = adapters.torchvision_pixels(spec.path)
    pixels = pixels_of(spec, known)
    sha256 = pretrained.sha256_of(file)
    return Backbone(name=spec.name, sha256=sha256, asked=spec.text, **vars(pixels))


def _load(spec: Spec, backbone: Backbone, device: str) -> Network:
    from taskdiscovery.features.backbones.torch_network import TorchNetwork
    from taskdiscovery.networks import adapters, pretrained

    file = spec.options["weights"]
    if pretrained.sha256_of(file) != backbone.sha256:
        raise wrong_weights(backbone)
    tensors = pretrained.read_weights(file)
    if spec.kind == "timm":
        classified = adapters.timm_model(spec.path)
        network = adapters.timm_model(spec.path, num_classes=0)  # which then gives its features
        spare = _spare(classified, network)
        kept = {name: value for name, value in tensors.items() if name not in spare}
        pretrained.fill(network, kept, file)
        return TorchNetwork(network, backbone, device)
    network = adapters.torchvision_model(spec.path)
    head = pretrained.last_asked(network, backbone.size, spec.text)
    pretrained.fill(network, tensors, file, fresh=(head,))
    return TorchNetwork(before(network, head), backbone, device)


def _spare(classified: nn.Module, network: nn.Module) -> set[str]:
    """Return the names of what only the classifying network has."""
    return set(classified.state_dict()) - set(network.state_dict())


def before(network: nn.Module, head: str) -> nn.Module:
    """Return a network that gives what enters its last layer."""
    from torch import nn

    class Features(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            entered: list[Tensor] = []
            layer = self.network.get_submodule(head)
            hook = layer.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0]))
            try:
                self.network(x)
            finally:
                hook.remove()
            return entered[-1]

    return Features()


TIMM = Kind(
    example="timm:NAME?weights=FILE.safetensors",
    options=("weights", *PIXEL_OPTIONS),
    resolve=_resolve,
    load=_load,
)
TORCHVISION = Kind(
    example="torchvision:NAME?weights=FILE.safetensors",
    options=("weights", *PIXEL_OPTIONS),
    resolve=_resolve,
    load=_load,
)
