"""Learner SPECs: which words there are, known without torch, so that mistakes are found early."""

from __future__ import annotations

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.specs import Spec, parse

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
                mend=f"choose from {', '.join(AUGMENTATIONS)}",
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
            mend=f"{nearest(spec.name, NETWORK_OPTIONS)} (or package.module:factory, timm:NAME, "
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
