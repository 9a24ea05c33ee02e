"""Frozen networks by name, and what they make of images: computed once, kept by content.

A new kind is a file that defines a `Kind`, and a row of the table. Importable without torch.

Axes: N images, P features.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from taskdiscovery.config.specs import Spec, parse
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.features.backbones import factory, hf, keeping, libraries, lite0, onnx, run
from taskdiscovery.features.backbones.asking import Asked, plan_of
from taskdiscovery.features.backbones.kind import Kind, Network
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Backbone, Float32, ImageArray

#: by what stands before the first colon.
KINDS: dict[str, Kind] = {
    "lite0": lite0.KIND,
    "onnx": onnx.KIND,
    "timm": libraries.TIMM,
    "torchvision": libraries.TORCHVISION,
    "hf": hf.KIND,
    "run": run.KIND,
}
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_backbone(text: str) -> bool:
    """Say whether a text names a backbone, e.g. `lite0` or `onnx:FILE`, and not a file."""
    try:
        return _kind(parse(text)) is not None
    except ConfigError:
        return False


def runs_code(text: str) -> bool:
    """Say whether naming a backbone imports code of the caller's."""
    kind = _kind(parse(text))
    return kind is not None and kind.code


def is_packaged(text: str) -> bool:
    """Say whether a backbone is part of this package, with all that it opens."""
    kind = _kind(parse(text))
    return kind is not None and kind.packaged


def check_backbone(text: str) -> Spec:
    """Read a backbone SPEC; nothing that it names is opened or imported.

    Raises:
        ConfigError: for an unknown name or option, or a size out of range.
    """
    spec = parse(text)
    kind = _kind(spec)
    if kind is None:
        raise ConfigError(
            f"unknown backbone {spec.name!r}",
            where="--backbone",
            hint=_nearest(spec),
        )
    spec.only(kind.options)
    if kind is not lite0.KIND and kind is not factory.KIND and not spec.path:
        raise ConfigError(f"{spec.kind}: names nothing", where=text, hint=f"give {kind.example}")
    if kind.packaged:
        kind.resolve(spec)
    return spec


def backbone_of(text: str) -> Backbone:
    """Read a backbone SPEC that the caller gave: its config is read, its weights are hashed.

    Raises:
        ConfigError: for an unknown name or option, or what its config does not say.
        DataError: for files that cannot be read.
    """
    spec = check_backbone(text)
    kind = _kind(spec)
    assert kind is not None
    return kind.resolve(spec)


def sized(text: str, size: int | None) -> str:
    """Return a SPEC with a size, where one is given and the kind takes one.

    Raises:
        ConfigError: as `check_backbone`, or where the SPEC says another size.
    """
    spec = check_backbone(text)
    kind = _kind(spec)
    if size is None or kind is None or "size" not in kind.options:
        return text
    if spec.options.get("size", str(size)) != str(size):
        raise ConfigError(
            f"--size {size} and {text} say different sizes", where="--size", hint="give one"
        )
    return replace(spec, options={**spec.options, "size": str(size)}).written


def opens(backbone: Backbone) -> bool:
    """Say whether a backbone may be loaded: the caller has named it, or it is the package's own.

    What only a file names is neither imported nor opened.
    """
    return bool(backbone.asked) or _is_own(backbone)


def embed_images(
    images: ImageArray,
    backbone: Backbone,
    *,
    device: str = "cpu",
    batch: int | None = None,
    callbacks: Callbacks | None = None,
    cache: Path | None = None,
) -> Float32:
    """Return (N, P) features of images, memory-mapped from the cache.

    What is stopped goes on where it was when it is asked for again.

    Args:
        images: (N, H, W, 1 or 3) uint8 of any size.
        backbone: which network.
        device: where to compute; in bf16 on a GPU that multiplies it itself.
        batch: images at once; other numbers differ in their last bits.
        callbacks: told of progress.
        cache: where features are kept; by default where decoded images are.

    Raises:
        DataError: for images of other channels, or weights that are not the known ones.
        ResourceError: where the weights are not installed, or a batch does not fit the device.
        NumericalError: where features are not finite.
    """
    _check_channels(images, backbone)
    plan = plan_of(device, batch, size=backbone.size)
    return keeping.kept(
        images, backbone, plan, lambda: Asked(_loaded, backbone, plan), callbacks, cache
    )


def features_of(images: ImageArray, backbone: Backbone, device: str = "cpu") -> Float32:
    """Return (N, P) float32 features of images, and keep nothing; errors as of `embed_images`."""
    _check_channels(images, backbone)
    network = Asked(_loaded, backbone, plan_of(device, exact=True))
    blocks = [block for _, block in network.blocks(images, range(0, len(images), network.batch))]
    return np.concatenate(blocks) if blocks else np.zeros((0, network.width), np.float32)


def _nearest(spec: Spec) -> str:
    examples = ", ".join(kind.example for kind in (*KINDS.values(), factory.KIND))
    near = nearest(spec.name, KINDS)
    return near if near.startswith("did") else f"choose from: {examples}"


def _kind(spec: Spec) -> Kind | None:
    named = KINDS.get(spec.kind)
    if named is not None and (spec.name == spec.kind) == (named is lite0.KIND):
        return named
    if named is None and _FACTORY.fullmatch(spec.name):
        return factory.KIND
    return None


def _is_own(backbone: Backbone) -> bool:
    kind = KINDS.get(backbone.name)
    return kind is not None and kind.packaged


def _loaded(backbone: Backbone, device: str) -> Network:
    """Load a backbone that the caller has named, or that is part of this package.

    Raises:
        DataError: for any other: only a file names it.
    """
    if not opens(backbone):
        raise DataError(
            f"the features are of {backbone}, which is to be named again: only a file names it",
            where=f"backbone {backbone.name}, SHA-256 {backbone.sha256}",
            hint="name it as it was when they were made (--features SPEC), or give the features "
            "themselves",
        )
    spec = parse(backbone.asked or str(backbone))
    kind = _kind(spec)
    assert kind is not None
    return kind.load(spec, backbone, device)


def _check_channels(images: ImageArray, backbone: Backbone) -> None:
    if images.shape[3] not in (1, 3):
        raise DataError(
            f"{backbone.name} looks at grey or RGB images, these have {images.shape[3]} channels",
            where=f"backbone {backbone}",
            hint="give images of one or three channels, or features of your own",
        )
