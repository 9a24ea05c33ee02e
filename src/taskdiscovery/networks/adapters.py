"""Networks from elsewhere: the user's own factory, timm, torchvision. Imported only when asked."""

from __future__ import annotations

import inspect
import math
from functools import partial
from types import ModuleType
from typing import Any

from torch import nn

from taskdiscovery.config.learners import TRAINED, Factory, name_of
from taskdiscovery.config.pixels import pixels_of
from taskdiscovery.config.specs import Spec
from taskdiscovery.errors import ConfigError, TaskDiscoveryError, first_line, nearest
from taskdiscovery.networks.pretrained import (
    Pretrained,
    Source,
    last_asked,
    last_block,
    read_weights,
)
from taskdiscovery.runtime.importing import installed, named_object, within_reach
from taskdiscovery.types import Document


def from_factory(
    path: str, image_shape: tuple[int, int, int], outputs: int, options: dict[str, str]
) -> nn.Module:
    """Import and call the user's `package.module:factory`.

    Args:
        path: where the factory is.
        image_shape: (H, W, channels), handed over as `image_shape` if the factory takes it.
        outputs: number of outputs.
        options: the options of the specification, handed over as they are.

    Returns:
        A module that maps float images (N, channels, H, W), normalized per channel, to
        (N, outputs).

    Raises:
        ConfigError: where it cannot be imported, called, or does not return a module.
    """
    try:
        factory: Factory = named_object(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"cannot import the network factory {path!r}: {error}",
            where="--learner",
            hint="give package.module:factory, importable from here (see PYTHONPATH)",
        ) from error
    return _called(factory, path, image_shape, outputs, options)


def from_object(factory: Factory, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    """Call a class or factory that the caller handed over.

    Raises:
        ConfigError: where it cannot be called, or does not return a module.
    """
    return _called(factory, name_of(factory), image_shape, outputs, {})


#: what factories call the number of outputs.
_OUTPUTS = ("outputs", "num_classes", "n_classes", "num_outputs", "classes")


def _called(
    factory: Factory,
    name: str,
    image_shape: tuple[int, int, int],
    outputs: int,
    options: dict[str, str],
) -> nn.Module:
    arguments: dict[str, object] = {}
    try:
        accepted = inspect.signature(factory).parameters
        word = next((w for w in _OUTPUTS if w in accepted), "outputs")
        arguments |= {word: outputs, **options}
        if "image_shape" in accepted:
            arguments["image_shape"] = image_shape
        with within_reach():  # it may import more of its own
            network = factory(**arguments)
    except (TaskDiscoveryError, MemoryError):
        raise
    except Exception as error:  # a factory may raise anything
        raise ConfigError(
            f"the network factory {name!r} failed: {type(error).__name__}: {first_line(error)}",
            where="--learner",
            hint=f"it was called with {', '.join(arguments)}: give what else it needs a default, "
            "or bind it with functools.partial",
        ) from error
    if not isinstance(network, nn.Module):
        raise ConfigError(
            f"the network factory {name!r} returned {type(network).__name__}",
            where="--learner",
            hint="return a torch.nn.Module that maps (N, channels, H, W) to (N, outputs)",
        )
    return network


def from_library(spec: Spec, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    """Build a model of timm or torchvision: untrained, for these images, or with given weights.

    Args:
        spec: `timm:NAME` or `torchvision:NAME`; with `weights=FILE` it is fine-tuned, and sees
            images as its own config says.
        image_shape: (H, W, channels).
        outputs: number of outputs.

    Raises:
        ConfigError: for an unknown model, or one that says less of its pixels than is needed.
    """
    if "weights" not in spec.options:
        build = from_timm if spec.kind == "timm" else from_torchvision
        return build(spec.path, image_shape, outputs)
    path = spec.options["weights"]  # opened when the network takes them
    known: Document
    if spec.kind == "timm":
        body = timm_model(spec.path, num_classes=outputs)
        known, head = timm_pixels(body), timm_head(body)
    else:
        body = torchvision_model(spec.path, num_classes=outputs)
        known, head = torchvision_pixels(spec.path), ""
    pixels = pixels_of(spec, known)
    head = head or last_asked(body, pixels.size, spec.text)
    train = spec.choice("train", "last", TRAINED) or ""
    return Pretrained(
        body,
        pixels,
        head=head,
        train=train,
        last=last_block(body, head),
        source=Source(path, partial(read_weights, path)),
    )


def timm_model(name: str, **arguments: Any) -> nn.Module:
    """Build a timm model, untrained.

    Raises:
        ConfigError: where timm is missing, or has no such model.
    """
    timm = _import("timm")
    known: list[str] = timm.list_models()
    if name not in known:
        raise ConfigError(
            f"timm has no model {name!r}", where=f"timm:{name}", hint=nearest(name, known[:2000])
        )
    arguments = {"pretrained": False, **arguments}
    size = arguments.pop("img_size", None)
    try:
        model = timm.create_model(name, **arguments, **({"img_size": size} if size else {}))
    except TypeError:  # convolutional models take no image size
        model = timm.create_model(name, **arguments)
    return _checked(model, f"timm:{name}")


def timm_pixels(model: nn.Module) -> Document:
    """Return what a timm model says of the pixels it was trained on, by the names of `Pixels`."""
    said = dict(getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None) or {})
    found = {key: tuple(map(float, said[key])) for key in ("mean", "std") if said.get(key)}
    shape = said.get("input_size")
    if not shape or len(shape) != 3 or shape[1] != shape[2]:
        return found
    size = int(shape[1])
    resize = math.floor(size / float(said.get("crop_pct") or 1.0))
    fit = "squash" if said.get("crop_mode") == "squash" else "crop"
    interpolation = str(said.get("interpolation") or "bicubic")
    return {**found, "size": size, "resize": resize, "fit": fit, "interpolation": interpolation}


def timm_head(model: nn.Module) -> str:
    """Return the name of a timm model's last layer, as it says it; empty where it does not."""
    said = getattr(model, "pretrained_cfg", None) or getattr(model, "default_cfg", None) or {}
    name = str(said.get("classifier"))
    return name if isinstance(dict(model.named_modules()).get(name), nn.Linear) else ""


def torchvision_model(name: str, **arguments: Any) -> nn.Module:
    """Build a torchvision classification model, untrained.

    Raises:
        ConfigError: where torchvision is missing, or has no such model.
    """
    models = _import("torchvision").models
    try:
        model = models.get_model(name, weights=None, **arguments)
    except ValueError as error:
        raise ConfigError(
            f"torchvision has no model {name!r}", where=f"torchvision:{name}", hint=str(error)
        ) from error
    return _checked(model, f"torchvision:{name}")


def torchvision_pixels(name: str) -> Document:
    """Return what torchvision says of the pixels of its own weights, by the names of `Pixels`."""
    try:
        shown = _import("torchvision").models.get_model_weights(name).DEFAULT.transforms()
    except (AttributeError, ValueError):
        return {}
    size, resize = int(shown.crop_size[0]), int(shown.resize_size[0])
    words = getattr(shown.interpolation, "value", shown.interpolation)
    return {
        "size": size,
        "resize": resize,
        "interpolation": str(words),
        "mean": tuple(map(float, shown.mean)),
        "std": tuple(map(float, shown.std)),
    }


def from_timm(name: str, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    """Build a timm model, untrained, for these images."""
    return timm_model(name, num_classes=outputs, in_chans=image_shape[2], img_size=image_shape[:2])


def from_torchvision(name: str, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    """Build a torchvision classification model, untrained, for these images."""
    if image_shape[2] != 3:
        raise ConfigError(
            f"torchvision models take 3 channels, these images have {image_shape[2]}",
            where=f"--learner torchvision:{name}",
            hint="use a network of this package, or timm:NAME",
        )
    return torchvision_model(name, num_classes=outputs)


def _import(package: str) -> ModuleType:
    try:
        return installed(package)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{package} is not installed",
            where=f"{package}:…",
            hint=f"pip install 'taskdiscovery[{package}]'",
        ) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # A torchvision built for another torch fails on import in any of these ways.
        raise ConfigError(
            f"{package} is installed but cannot be imported: {error}",
            where=f"{package}:…",
            hint="install the build that matches your torch (same release, same CUDA or CPU)",
        ) from error


def _checked(model: object, name: str) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{name} is not a torch module", where="--learner", hint="name a model")
    return model
