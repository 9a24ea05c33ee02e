"""`package.module:factory?weights=FILE`: a network of the caller's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskdiscovery.config.pixels import PIXEL_OPTIONS, pixels_of
from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError, TaskDiscoveryError, first_line
from taskdiscovery.features.backbones.kind import Kind, Network, required, wrong_weights
from taskdiscovery.types import Backbone

if TYPE_CHECKING:
    from torch import nn

_WHY = "add weights=FILE.safetensors, which are loaded into the module that it returns"


def _resolve(spec: Spec) -> Backbone:
    from taskdiscovery.networks import adapters, pretrained

    file = required(spec, "weights", _WHY)
    pretrained.check_weights(file)
    # A module that says what it was trained on as timm's do need not be told.
    known = {} if "size" in spec.options else adapters.timm_pixels(_called(spec))
    pixels = pixels_of(spec, known)
    return Backbone(
        name=spec.name,
        sha256=pretrained.sha256_of(file),
        pool=spec.choice("pool", "", ("first", "mean")) or "",
        asked=spec.text,
        **vars(pixels),
    )


def _load(spec: Spec, backbone: Backbone, device: str) -> Network:
    from taskdiscovery.features.backbones.torch_network import TorchNetwork
    from taskdiscovery.networks import pretrained

    file = spec.options["weights"]
    if pretrained.sha256_of(file) != backbone.sha256:
        raise wrong_weights(backbone)
    network = _called(spec)
    pretrained.fill(network, pretrained.read_weights(file), file)
    return TorchNetwork(network, backbone, device)


def _called(spec: Spec) -> nn.Module:
    """Import and call the caller's factory.

    Raises:
        ConfigError: where it cannot be imported, fails, or returns no module.
    """
    from torch import nn

    from taskdiscovery.runtime.importing import named_object, within_reach

    try:
        factory = named_object(spec.name)
        with within_reach():
            network = factory()
    except (TaskDiscoveryError, MemoryError):
        raise
    except Exception as error:  # a factory may raise anything
        raise ConfigError(
            f"{spec.name} cannot be called: {type(error).__name__}: {first_line(error)}",
            where=f"backbone {spec.text}",
            hint="give package.module:factory, importable from here, which needs no arguments",
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"{spec.name} returned {type(network).__name__}",
            where=f"backbone {spec.text}",
            hint="return a torch.nn.Module that maps (N, 3, size, size) to features (N, P)",
        )
    return network


KIND = Kind(
    example="package.module:factory?weights=FILE.safetensors",
    options=("weights", "pool", *PIXEL_OPTIONS),
    resolve=_resolve,
    load=_load,
    code=True,
)
