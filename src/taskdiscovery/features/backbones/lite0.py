"""`lite0[?size=]`: EfficientNet-Lite0, whose weights an extra installs."""

from __future__ import annotations

from taskdiscovery.config.learners import LITE0_SHA256
from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import DataError
from taskdiscovery.features.backbones.kind import Kind, Network
from taskdiscovery.types import Backbone

SIZE = 128
_LEAST, _MOST = 32, 1024


def _resolve(spec: Spec) -> Backbone:
    size = spec.integer("size", SIZE, low=_LEAST, high=_MOST)
    return Backbone(name="lite0", size=size, sha256=LITE0_SHA256, asked=spec.text)


def _load(_: Spec, backbone: Backbone, device: str) -> Network:
    from taskdiscovery.features.backbones.torch_network import TorchNetwork
    from taskdiscovery.networks import lite0

    plain = Backbone(name="lite0", size=backbone.size, sha256=LITE0_SHA256)
    if backbone != plain or not _LEAST <= backbone.size <= _MOST:
        raise DataError(
            f"the features are of {backbone}, of weights that are not known here",
            where=f"backbone {backbone.name}, SHA-256 {backbone.sha256}",
            hint="upgrade taskdiscovery, or give the features in place of images",
        )
    return TorchNetwork(lite0.load(backbone.sha256), backbone, device)


KIND = Kind(
    example="lite0?size=128", options=("size",), resolve=_resolve, load=_load, packaged=True
)
