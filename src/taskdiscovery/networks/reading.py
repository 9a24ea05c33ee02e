"""A network as a file keeps it: its own header, held against its tensors, may be a stranger's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from taskdiscovery.config import Network
from taskdiscovery.config.specs import parse
from taskdiscovery.networks import Model, Normalization, build, is_ours
from taskdiscovery.networks.resnet import RESNETS, STEM_WEIGHT, stem_of_weights

#: pixels of a side; no reader gives more.
_LARGEST = 2**16


def read_model(
    network: Network,
    image_shape: tuple[int, int, int],
    outputs: int,
    tensors: Mapping[str, Tensor],
) -> Model:
    """Build a network and give it the tensors of a file.

    Args:
        network: of the package, or one that the caller has named; nothing else comes here.
        image_shape: (H, W, channels), as the file says; (1, 1, P) of features.
        outputs: the same.
        tensors: the state of the model.

    Returns:
        The model, in evaluation mode.

    Raises:
        ValueError: where what the file says does not fit its tensors.
        Exception: of many kinds, where a network of the caller's fails.
    """
    weights = sum(tensor.numel() for tensor in tensors.values())
    features = image_shape[:2] == (1, 1)
    if min(image_shape) < 1 or max(image_shape) > _LARGEST or (image_shape[2] > 4 and not features):
        raise ValueError(f"it takes images of {image_shape}")
    if not 1 <= outputs <= weights:
        raise ValueError(f"it has {outputs} outputs by its header, and others by its arrays")
    none = Normalization.none(image_shape[2])
    network = _with_its_stem(network, tensors)
    if is_ours(network):  # compared without storage: a header may name one that fills the memory
        with torch.device("meta"):
            empty = build(network, image_shape, outputs, none, seed=None)
        expected = {name: tuple(t.shape) for name, t in empty.state_dict().items()}
        if expected != {name: tuple(t.shape) for name, t in tensors.items()}:
            raise ValueError(f"its tensors are not those of {network}")
    model = build(network, image_shape, outputs, none, seed=None)
    model.load_state_dict(dict(tensors))
    return model.eval()


def _with_its_stem(network: Network, tensors: Mapping[str, Tensor]) -> Network:
    """Name the stem of a ResNet by its weights: it once was the small one, whatever the images."""
    if not isinstance(network, str) or (spec := parse(network)).name not in RESNETS:
        return network
    if spec.options.get("stem", "auto") != "auto" or STEM_WEIGHT not in tensors:
        return network
    options = {**spec.options, "stem": stem_of_weights(tensors)}
    return replace(spec, options=options).written
