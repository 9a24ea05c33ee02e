"""`run:PATH`: what enters the last layer of the network that a discovery has trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from taskdiscovery.config.specs import Spec, parse
from taskdiscovery.errors import ConfigError, DataError, first_line
from taskdiscovery.features.backbones.kind import Kind, Network, wrong_weights
from taskdiscovery.types import Backbone, Document

if TYPE_CHECKING:
    from torch import Tensor

_FILE = "encoder.safetensors"


def _resolve(spec: Spec) -> Backbone:
    from taskdiscovery.networks.pretrained import sha256_of

    file = _file(spec)
    header = _header(file)
    height, width, _ = header["image_shape"]
    if height != width:
        raise ConfigError(
            f"the run's network takes images of {height} x {width}, and only squares are cut",
            where=spec.text,
            hint="discover with --size",
        )
    return Backbone(name="run", size=height, sha256=sha256_of(file), asked=spec.text)


def _load(spec: Spec, backbone: Backbone, device: str) -> Network:
    import torch
    from safetensors.torch import load_file

    from taskdiscovery import networks
    from taskdiscovery.features.backbones.torch_network import TorchNetwork
    from taskdiscovery.networks.pretrained import sha256_of
    from taskdiscovery.networks.reading import read_model

    file = _file(spec)
    if sha256_of(file) != backbone.sha256:
        raise wrong_weights(backbone)
    header, tensors = _header(file), load_file(str(file))
    own = {name: tensors[name] for name in tensors if not name.startswith("encoder.")}
    try:
        model = read_model(header["learner"], header["image_shape"], header["outputs"], own)
    except Exception as error:  # hostile files raise errors of every kind
        raise _unreadable(error, file) from error

    class Features(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor) -> Tensor:
            return networks.features(self.model, images)

    return TorchNetwork(Features(), backbone, device, header["image_shape"][2])


def _file(spec: Spec) -> Path:
    """Return the file of the encoder.

    Raises:
        DataError: where there is none.
    """
    path = Path(spec.path).expanduser()
    file = path / _FILE if path.is_dir() else path
    # What lies in a run may be a stranger's; a link or a FIFO is no encoder.
    if not file.is_file() or (path.is_dir() and file.is_symlink()):
        raise DataError(
            "there is no encoder", where=str(path), hint="give the directory of a finished discover"
        )
    return file


def _header(file: Path) -> Document:
    """Read what the file says of its network.

    Raises:
        ConfigError: where it has none of this package: those of the caller's are code.
        DataError: where it cannot be read.
    """
    from safetensors import safe_open

    from taskdiscovery import networks

    try:
        with safe_open(str(file), "pt") as opened:
            said = json.loads(opened.metadata()["taskdiscovery"])
        if said.get("kind"):
            raise ValueError("its tasks were found on features, by no network")
        shape = tuple(int(side) for side in said["image_shape"])
        if len(shape) != 3:
            raise ValueError("it takes no images")
        learner, outputs = str(said["learner"]), int(said["outputs"])
        known = parse(learner).name in networks.NETWORKS
    except Exception as error:  # hostile files raise errors of every kind
        raise _unreadable(error, file) from error
    if not known:
        raise ConfigError(
            f"the run's network is {learner!r}, which runs code of its own",
            where=str(file),
            hint="give its weights to a factory: package.module:factory?weights=FILE",
        )
    return {"learner": learner, "outputs": outputs, "image_shape": shape}


def _unreadable(error: Exception, file: Path) -> DataError:
    return DataError(
        f"the encoder cannot be read: {first_line(error)}",
        where=str(file),
        hint="give the directory of a finished discover on images",
    )


KIND = Kind(example="run:RUN", options=(), resolve=_resolve, load=_load)
