"""Networks from elsewhere: the user's own factory, timm, torchvision. Imported only when asked."""

from __future__ import annotations

import inspect
from types import ModuleType

from torch import nn

from taskdiscovery.config.learners import Factory, name_of
from taskdiscovery.errors import ConfigError, TaskDiscoveryError, first_line, nearest
from taskdiscovery.runtime.importing import installed, named_object, within_reach


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


def from_timm(name: str, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    """Build a timm model, untrained, for these images."""
    timm = _import("timm")
    known: list[str] = timm.list_models()
    if name not in known:
        raise ConfigError(
            f"timm has no model {name!r}", where="--learner", hint=nearest(name, known[:2000])
        )
    arguments = {"pretrained": False, "num_classes": outputs, "in_chans": image_shape[2]}
    try:
        model = timm.create_model(name, **arguments, img_size=image_shape[:2])
    except TypeError:  # convolutional models take no image size
        model = timm.create_model(name, **arguments)
    return _checked(model, f"timm:{name}")


def from_torchvision(name: str, image_shape: tuple[int, int, int], outputs: int) -> nn.Module:
    """Build a torchvision classification model, untrained."""
    models = _import("torchvision").models
    if image_shape[2] != 3:
        raise ConfigError(
            f"torchvision models take 3 channels, these images have {image_shape[2]}",
            where=f"--learner torchvision:{name}",
            hint="use a network of this package, or timm:NAME",
        )
    try:
        model = models.get_model(name, weights=None, num_classes=outputs)
    except ValueError as error:
        raise ConfigError(
            f"torchvision has no model {name!r}", where="--learner", hint=str(error)
        ) from error
    return _checked(model, f"torchvision:{name}")


def _import(package: str) -> ModuleType:
    try:
        return installed(package)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{package} is not installed",
            where=f"--learner {package}:…",
            hint=f"pip install 'taskdiscovery[{package}]'",
        ) from error
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        # A torchvision built for another torch fails on import in any of these ways.
        raise ConfigError(
            f"{package} is installed but cannot be imported: {error}",
            where=f"--learner {package}:…",
            hint="install the build that matches your torch (same release, same CUDA or CPU)",
        ) from error


def _checked(model: object, name: str) -> nn.Module:
    if not isinstance(model, nn.Module):
        raise ConfigError(f"{name} is not a torch module", where="--learner", hint="name a model")
    return model
