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

#: the networks of the package, and the options each takes.
NETWORK_OPTIONS: dict[str, frozenset[str]] = {
    "linear": frozenset(),
    "mlp": frozenset({"width"}),
    "convnet": frozenset({"width"}),
    "resnet18": frozenset({"width"}),
    "resnet50": frozenset({"width"}),
    "vit": frozenset({"width", "patch", "depth"}),
}
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
        device: `cpu` or `cuda`.
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
    if text == RIDGE:  # solved, not trained
        return ResolvedLearner(RIDGE, recipe, device, precision)
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


#: the learner on features, in closed form: no network, and nothing to train.
RIDGE = "ridge"


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
    if spec.kind in ("timm", "torchvision") or ":" in spec.name:
        return
    if spec.name not in NETWORK_OPTIONS:
        raise ConfigError(
            f"unknown network {spec.name!r}",
            where="--learner",
            hint=f"{nearest(spec.name, NETWORK_OPTIONS)} (or package.module:factory, timm:NAME, "
            "torchvision:NAME)",
        )
    spec.only(NETWORK_OPTIONS[spec.name])
    network_options(spec)


def network_options(spec: Spec) -> dict[str, float | int]:
    """Return the options of one of the package's networks, as numbers.

    Raises:
        ConfigError: for a value that is no number or out of range.
    """
    options: dict[str, float | int] = {}
    for key in spec.options:
        if key == "width":
            options[key] = spec.number(key, 1.0, low=1e-3, high=100.0)
        else:
            options[key] = spec.integer(key, 1, low=1, high=1024)
    return options
