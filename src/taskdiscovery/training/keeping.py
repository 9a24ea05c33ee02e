"""A fitted learner as a safetensors file: weights of each run, a JSON header, and no pickle.

Such a file may be a stranger's: what its header says is held against its tensors, and nothing that
it names is imported or read. Features that it took are to be given again, unless they are those of
a backbone of the package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from taskdiscovery.config import OF_DATA, Network, is_convex
from taskdiscovery.encoders.encoder import named_network
from taskdiscovery.encoders.files import metadata_of
from taskdiscovery.errors import ConfigError, NumericalError, RunDirError, first_line
from taskdiscovery.features.backbones import is_backbone, is_packaged
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.features.writing import backbone_from
from taskdiscovery.networks.reading import read_model
from taskdiscovery.networks.saving import unshared
from taskdiscovery.store.writing import atomic
from taskdiscovery.training.convex import Linear
from taskdiscovery.training.members import Member, TrainedLinear, TrainedNetwork
from taskdiscovery.types import Document

FORMAT = 1
_KEY = "taskdiscovery fitted"
_TRAINED_ON = "trained_on"
#: arrays of a linear member, by the name in the file.
_LINEAR = ("reduction_mean", "reduction", "mean", "weights", "offset", "classes")


def save(
    path: Path, header: Document, members: Sequence[Member], trained_on: NDArray[np.uint64]
) -> Path:
    """Write a learner.

    Args:
        path: of the file.
        header: what `read` gives back, as JSON takes it.
        members: a run each.
        trained_on: hashes of the images that it was trained on.

    Raises:
        NumericalError: where a weight is not finite.
        ResourceError: where the place cannot be written.
    """
    tensors = {_TRAINED_ON: torch.from_numpy(trained_on.view(np.int64).copy())}
    for number, member in enumerate(members):
        for name, tensor in _tensors(member).items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                raise NumericalError(f"the weight {name} is not finite", hint="train it again")
            tensors[f"{number}.{name}"] = tensor
    precision = getattr(members[0], "precision", "float32")
    whole = {"format": FORMAT, **header, "runs": len(members), "precision": precision}
    content = to_bytes(tensors, metadata={_KEY: json.dumps(whole)})
    with atomic(path) as stream:
        stream.write(content)
    return path


def _tensors(member: Member) -> dict[str, Tensor]:
    """Return what a run is kept as."""
    if isinstance(member, TrainedNetwork):
        return unshared(member.model)
    assert isinstance(member, TrainedLinear)
    linear = member.linear
    classes = np.zeros(0, dtype=np.int64) if linear.classes_K is None else linear.classes_K
    arrays = (
        member.reduction.mean_P,
        member.reduction.matrix_PR,
        member.mean_R,
        linear.weights_RK,
        linear.offset_K,
        classes,
    )
    return {
        name: torch.from_numpy(np.ascontiguousarray(array))
        for name, array in zip(_LINEAR, arrays, strict=True)
    }


def read(path: Path, objects: Mapping[str, Network]) -> Document:
    """Read a learner: return what a `Fitted` is made of.

    Args:
        path: of the file.
        objects: networks that the caller has named, by name.

    Raises:
        RunDirError: where it is missing, damaged, or of a network that the caller has not named.
    """
    try:
        content = path.read_bytes()
        tensors = from_bytes(content)  # which holds the file against its own header first
        return _read(metadata_of(content, _KEY), tensors, objects, str(path))
    except (RunDirError, ConfigError):
        raise
    except Exception as error:  # hostile files raise errors of every kind
        raise RunDirError(
            f"the learner cannot be read: {first_line(error)}",
            where=str(path),
            hint="give a file that Fitted.save wrote, or fit again",
        ) from error


def _read(
    header: Document, tensors: dict[str, Tensor], objects: Mapping[str, Network], where: str
) -> Document:
    if int(header["format"]) > FORMAT:
        raise RunDirError(
            "the learner was written by a newer taskdiscovery",
            where=where,
            hint="upgrade: pip install -U taskdiscovery",
        )
    learner, classes = str(header["learner"]), tuple(map(str, header["classes"]))
    height, width, channels = (int(n) for n in header["shape"])
    shape, runs = (height, width, channels), int(header["runs"])
    if not 1 <= runs <= len(tensors) or len(classes) < 2:
        raise ValueError("it has no run, or fewer than two classes")
    trained_on = tensors.pop(_TRAINED_ON).numpy().view(np.uint64)
    members: list[Member] = []
    for number in range(runs):
        prefix = f"{number}."
        own = {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
        if is_convex(learner):
            members.append(_linear(own, channels, len(classes)))
        else:
            network = named_network(learner, objects, where)
            model = read_model(network, shape, len(classes), own)
            precision = "bf16" if header["precision"] == "bf16" else "float32"
            members.append(TrainedNetwork(model=model, device="cpu", precision=precision))
    named = str(header["features"])
    if named and not (is_backbone(named) and is_packaged(named)):
        named = OF_DATA  # a file or code elsewhere is to be named again
    reading: dict[str, Any] = dict(header["reading"])
    span = reading.get("range")
    return {
        "target": str(header["target"]),
        "classes": classes,
        "learner": learner,
        "members": tuple(members),
        "shape": shape,
        "features": named,
        "backbone": None if header["backbone"] is None else backbone_from(header["backbone"]),
        "reading": {
            "size": reading.get("size"),
            "fit": str(reading.get("fit", "crop")),
            "range": None if span is None else (float(span[0]), float(span[1])),
            "missing": tuple(map(str, reading.get("missing", ()))),
        },
        "trained_on": trained_on,
        "config": dict(header["config"]),
    }


def _linear(own: Mapping[str, Tensor], width: int, classes: int) -> TrainedLinear:
    """Put a linear member together.

    Raises:
        ValueError: where its arrays do not fit each other.
    """
    mean_P, matrix_PR, mean_R, weights_RK, offset_K, classes_K = (
        own[name].numpy() for name in _LINEAR
    )
    R, K = weights_RK.shape
    fits = mean_P.shape == (width,) and matrix_PR.shape == (width, R) and mean_R.shape == (R,)
    chosen = classes_K if len(classes_K) else np.arange(classes)
    whole = offset_K.shape == (K,) and chosen.min() >= 0 and chosen.max() < classes
    if not fits or not whole or K not in (len(chosen), 1):
        raise ValueError("its arrays do not fit each other")
    return TrainedLinear(
        reduction=Reduction(mean_P=mean_P, matrix_PR=matrix_PR),
        mean_R=mean_R,
        linear=Linear(
            weights_RK=weights_RK,
            offset_K=offset_K,
            classes_K=classes_K if len(classes_K) else None,
            outputs=classes,
        ),
    )
