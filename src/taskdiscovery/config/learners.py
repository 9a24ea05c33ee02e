"""Learners: an architecture and the recipe that trains it.

Known without torch, so that mistakes are found early.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taskdiscovery.config.recipes import Recipe, TrainingRecipe
from taskdiscovery.config.specs import Spec, parse
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.types.backbone import LARGEST

#: the networks of the package, and the options each takes.
NETWORK_OPTIONS: dict[str, frozenset[str]] = {
    "linear": frozenset(),
    "mlp": frozenset({"width"}),
    "convnet": frozenset({"width"}),
    "resnet18": frozenset({"width", "stem"}),
    "resnet50": frozenset({"width", "stem"}),
    "vit": frozenset({"width", "patch", "depth"}),
    "lite0": frozenset({"train", "size"}),
}
#: of the weights of lite0.
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
#: how much of a pretrained network is trained: a fresh last layer alone; the last block, too; all.
TRAINED = ("head", "last", "all")
#: how a ResNet begins: by the size of the images, at full resolution, or at a quarter of it.
STEMS = ("auto", "small", "imagenet")
#: options of `timm:NAME` and `torchvision:NAME`; all but the first need it.
PRETRAINED_OPTIONS = ("weights", "train", "size", "scale", "mean", "std")
AUGMENTATIONS = ("flip", "crop", "grey")

#: what builds a network: called with `outputs`, and with `image_shape` where it takes that.
Factory = Callable[..., Any]
#: what the caller may name a network by.
Network = str | Factory


@dataclass(frozen=True)
class Learner:
    """An architecture and how it is to be trained, as the caller names them.

    Attributes:
        network: a SPEC (`convnet?width=0.5`), an `nn.Module` class, or a factory
            `f(outputs, image_shape)` that returns a module; image_shape is (H, W, channels), and
            the module maps normalized float32 images (N, channels, H, W) to (N, outputs), or to a
            tuple that begins with that, a dict or an object with it as `logits`.
        recipe: optimizer, epochs, batch size; by default those of the call.
    """

    network: Network
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def name(self) -> str:
        """What results call it: its SPEC, or where the class or factory was defined."""
        return name_of(self.network)


@dataclass(frozen=True)
class ResolvedLearner:
    """An architecture, and how and where it is trained, with every decision taken.

    Attributes:
        network: see `Learner`.
        recipe: how it is trained.
        device: `cpu`, `cuda` or `cuda:N`.
        precision: `float32` or `bf16`.
    """

    network: Network
    recipe: TrainingRecipe = field(default_factory=TrainingRecipe)
    device: str = "cpu"
    precision: str = "float32"

    @property
    def name(self) -> str:
        """What results call it: its SPEC, or where the class or factory was defined."""
        return name_of(self.network)


def learner_of(
    text: str,
    recipe: TrainingRecipe,
    *,
    device: str,
    precision: str,
    objects: Mapping[str, Network] | None = None,
) -> ResolvedLearner:
    """Read a learner SPEC.

    Args:
        text: the SPEC, or the name of one of `objects`; augmentations among its options become
            part of the recipe.
        recipe: how it is trained.
        device, precision: resolved.
        objects: networks that the caller has named, by name.

    Raises:
        ConfigError: for an unknown network, option or augmentation.
    """
    _, chosen = check_learner(text)
    recipe = replace(recipe, augment=chosen or recipe.augment)
    return ResolvedLearner(object_of(text, objects or {}) or text, recipe, device, precision)


def object_of(text: str, objects: Mapping[str, Network]) -> Network | None:
    """Return the caller's own network of that name, whatever its augmentations, or None."""
    plain = parse(text).without("augment").written
    named = {parse(name).without("augment").written: found for name, found in objects.items()}
    return named.get(plain)


def name_of(network: Network) -> str:
    """Return what a network is called: a SPEC as it is, an object by where it was defined.

    Raises:
        ConfigError: for what is neither a SPEC, a class nor a factory.
    """
    if isinstance(network, str):
        return network
    if isinstance(network, functools.partial):
        options = [f"{key}={value}" for key, value in network.keywords.items()]
        return name_of(network.func) + ("?" + "&".join(options) if options else "")
    name = getattr(network, "__qualname__", "")
    if not callable(network) or not name:
        kind = type(network).__name__
        raise ConfigError(
            f"a learner cannot be {kind}",
            where="learner",
            hint=f"give a class or a factory f(outputs, image_shape), not one made of it: {kind} "
            "is trained several times, each time from fresh weights",
        )
    return f"{network.__module__}:{name}"


#: learners on features that have one optimum: two on the same images always agree.
RIDGE = "ridge"
CONVEX = (RIDGE, "logistic")
#: networks of the package that look at features as well as at pixels.
_EITHER = ("mlp", "linear")


def is_convex(text: str) -> bool:
    """Say whether a learner has one optimum, and so looks at features alone."""
    return text in CONVEX


def takes_features(text: str) -> bool:
    """Say whether a learner looks at features where some are named, and not at pixels.

    Networks of the user's own are asked with features of shape (N, P, 1, 1).
    """
    if is_convex(text):
        return True
    spec = parse(text)
    if spec.kind in ("timm", "torchvision"):
        return False
    return spec.name in _EITHER or spec.name not in NETWORK_OPTIONS


def check_learner(text: str) -> tuple[Spec, tuple[str, ...]]:
    """Read a learner SPEC, e.g. `convnet?width=0.5&augment=flip,crop`.

    Returns:
        The SPEC, and its augmentations in order.

    Raises:
        ConfigError: for an unknown network, option or augmentation, naming the nearest.
    """
    spec = parse(text)
    check_network(spec.without("augment"))
    chosen = tuple(filter(None, spec.options.get("augment", "").split(",")))
    for name in chosen:
        if name not in AUGMENTATIONS:
            raise ConfigError(
                f"unknown augmentation {name!r}",
                where=text,
                hint=f"choose from {', '.join(AUGMENTATIONS)}",
            )
    return spec, chosen


def check_network(spec: Spec) -> None:
    """Refuse an unknown network or option.

    Raises:
        ConfigError: naming the nearest known word.
    """
    if spec.kind in ("timm", "torchvision"):
        _check_pretrained(spec)
        return
    if ":" in spec.name:
        return
    if spec.name in CONVEX:
        spec.only(())
        return
    if spec.name not in NETWORK_OPTIONS:
        raise ConfigError(
            f"unknown network {spec.name!r}",
            where="--learner",
            hint=f"{nearest(spec.name, (*NETWORK_OPTIONS, *CONVEX))} (or package.module:factory, "
            "timm:NAME, torchvision:NAME)",
        )
    spec.only(NETWORK_OPTIONS[spec.name])
    network_options(spec)


def _check_pretrained(spec: Spec) -> None:
    """Refuse options that a network of timm or torchvision does not have.

    Raises:
        ConfigError: naming the nearest, or that there are no weights that they could be of.
    """
    spec.only(PRETRAINED_OPTIONS)
    spec.choice("train", None, TRAINED)
    if spec.options and not spec.options.get("weights"):
        raise ConfigError(
            f"{next(iter(spec.options))}= is of pretrained weights, and none are given",
            where=spec.text,
            hint="add weights=FILE.safetensors; without options it is trained from scratch",
        )
    if "size" in spec.options:
        spec.integer("size", 1, low=8, high=LARGEST)


def network_options(spec: Spec) -> dict[str, float | int | str]:
    """Return the options of one of the package's networks: numbers, and words that were checked.

    Raises:
        ConfigError: for a value that is no number or out of range, or an unknown word.
    """
    options: dict[str, float | int | str] = {}
    for key in spec.options:
        if key == "width":
            options[key] = spec.number(key, 1.0, low=1e-3, high=100.0)
        elif key == "train":
            options[key] = spec.choice(key, None, TRAINED) or ""
        elif key == "stem":
            options[key] = spec.choice(key, None, STEMS) or ""
        elif key == "size":
            options[key] = spec.integer(key, 1, low=32, high=1024)
        else:
            options[key] = spec.integer(key, 1, low=1, high=1024)
    return options
