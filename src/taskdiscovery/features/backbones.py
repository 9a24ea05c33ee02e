"""Frozen networks by name, and what they make of images: computed once, kept by content.

Importable without torch.

Axes: N images, P features.
"""

from __future__ import annotations

import json
import logging
import tempfile
from pathlib import Path

import numpy as np
import PIL

from taskdiscovery.config.specs import parse
from taskdiscovery.data.images.cache import building, cache_dir
from taskdiscovery.data.images.contents import hash_images
from taskdiscovery.data.images.resizing import fitted_arrays
from taskdiscovery.data.listing import hash_text
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.isolation import usual_torch
from taskdiscovery.types import Backbone, Float32, ImageArray

#: the SHA-256 of the weights of each.
BACKBONES = {"lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"}
SIZE = 128
#: raised when the same images and backbone give other numbers.
FORMAT = 1
#: images at once, always: kernels that depend on the size of a batch are the same for all.
_BATCH = 32
_LOG = logging.getLogger("taskdiscovery")


def is_backbone(text: str) -> bool:
    """Say whether a text names a backbone, e.g. `lite0` or `lite0?size=224`, and not a file."""
    try:
        return parse(text).name in BACKBONES
    except ConfigError:
        return False


def backbone_of(text: str) -> Backbone:
    """Read a backbone SPEC.

    Raises:
        ConfigError: for an unknown name or option, or a size out of range.
    """
    spec = parse(text)
    if spec.name not in BACKBONES:
        raise ConfigError(
            f"unknown backbone {spec.name!r}",
            where="--backbone",
            hint=nearest(spec.name, BACKBONES),
        )
    spec.only(("size",))
    size = spec.integer("size", SIZE, low=32, high=1024)
    return Backbone(name=spec.name, size=size, sha256=BACKBONES[spec.name])


def embed_images(
    images: ImageArray,
    backbone: Backbone,
    *,
    device: str = "cpu",
    callbacks: Callbacks | None = None,
    cache: Path | None = None,
) -> Float32:
    """Return (N, P) features of images, memory-mapped from the cache.

    Args:
        images: (N, H, W, 1 or 3) uint8 of any size.
        backbone: which network.
        device: where to compute.
        callbacks: told of progress.
        cache: where features are kept; by default where decoded images are.

    Raises:
        DataError: for images of other channels, or weights that are not the known ones.
        ResourceError: where the weights are not installed.
    """
    if images.shape[3] not in (1, 3):
        raise DataError(
            f"{backbone.name} looks at grey or RGB images, these have {images.shape[3]} channels",
            where=f"backbone {backbone}",
            hint="give images of one or three channels, or features of your own",
        )
    parts = [hash_images(images), str(backbone), backbone.sha256, str(FORMAT), PIL.__version__]
    folder = (cache or cache_dir()) / hash_text(["features", *parts])
    callbacks = callbacks or Callbacks()
    if not (folder / "meta.json").exists():
        try:
            _build(images, backbone, folder, device, callbacks)
        except OSError as error:
            _LOG.warning(
                "the cache cannot be written (%s), features go to a temporary folder: %s",
                error.strerror,
                folder.parent,
            )
            folder = Path(tempfile.mkdtemp(prefix="taskdiscovery-")) / folder.name
            _build(images, backbone, folder, device, callbacks)
    # Copy-on-write, as decoded images are: torch takes it without a warning.
    features: Float32 = np.load(folder / "features.npy", mmap_mode="c")
    return features


def features_of(images: ImageArray, backbone: Backbone, device: str = "cpu") -> Float32:
    """Return (N, P) features of images, and keep nothing; errors as of `embed_images`."""
    run = _Run(backbone, device)
    blocks = [run(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
    return np.concatenate(blocks) if blocks else np.zeros((0, run.width), np.float32)


def _build(
    images: ImageArray, backbone: Backbone, folder: Path, device: str, callbacks: Callbacks
) -> None:
    """Compute the features of all images into a folder of the cache."""
    run = _Run(backbone, device)
    with building(folder) as place, callbacks.stage(f"features of {backbone}", len(images)) as bar:
        table = np.lib.format.open_memmap(
            place / "features.npy", "w+", np.float32, (len(images), run.width)
        )
        for start in range(0, len(images), _BATCH):
            block = images[start : start + _BATCH]
            table[start : start + len(block)] = run(block)
            bar.advance(len(block))
        table.flush()
        del table
        (place / "meta.json").write_text(json.dumps(backbone.to_json()), "utf-8")


class _Run:
    """A network that is loaded, and asked in batches of one size."""

    def __init__(self, backbone: Backbone, device: str) -> None:
        from taskdiscovery.features import lite0

        if BACKBONES.get(backbone.name) != backbone.sha256 or not 32 <= backbone.size <= 1024:
            raise DataError(
                f"the features are of {backbone}, of weights that are not known here",
                where=f"backbone {backbone.name}, SHA-256 {backbone.sha256}",
                hint="upgrade taskdiscovery, or give the features in place of images",
            )
        with usual_torch():
            self.model, self.width = lite0.load(backbone.sha256).to(device), lite0.WIDTH
        self.size, self.device = backbone.size, device

    def __call__(self, images: ImageArray) -> Float32:
        """Return (n, P) features of at most a batch of images."""
        import torch

        fitted = fitted_arrays(images, self.size, "crop")
        filled = np.repeat(fitted[:1], _BATCH, axis=0)
        filled[: len(fitted)] = fitted
        if filled.shape[3] == 1:
            filled = np.repeat(filled, 3, axis=3)
        with usual_torch(), torch.no_grad():
            features = self.model(torch.from_numpy(filled).to(self.device))
        result: Float32 = features.float()[: len(images)].cpu().numpy()
        return result
