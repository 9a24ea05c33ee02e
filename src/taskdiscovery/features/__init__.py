"""Features: numbers per image from a frozen network, or from any table. Importable without torch.

Axes: N images, P features.
"""

from taskdiscovery.features.alone import is_alone
from taskdiscovery.features.attaching import with_features
from taskdiscovery.features.backbones import (
    backbone_of,
    check_backbone,
    embed_images,
    features_of,
    is_backbone,
)
from taskdiscovery.features.loading import check_spec, load
from taskdiscovery.features.tables import read_features

__all__ = [
    "backbone_of",
    "check_backbone",
    "check_spec",
    "embed_images",
    "features_of",
    "is_alone",
    "is_backbone",
    "load",
    "read_features",
    "with_features",
]
