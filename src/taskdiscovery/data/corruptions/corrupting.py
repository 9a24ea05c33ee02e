"""Corrupt the images of a data set: each by its own id, whatever others stand beside it.

Axes: N images, H, W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from taskdiscovery.data.corruptions.corruption import STRENGTHS, Corruption
from taskdiscovery.data.corruptions.digital import DIGITAL
from taskdiscovery.data.corruptions.noise import NOISE
from taskdiscovery.data.corruptions.optics import OPTICS
from taskdiscovery.data.corruptions.weather import WEATHER
from taskdiscovery.data.images.contents import fingerprint, hash_images, look_for_problems
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Dataset, ImageArray

#: every corruption, by name.
CORRUPTIONS: dict[str, Corruption] = {
    own.name: own for own in (*NOISE, *OPTICS, *WEATHER, *DIGITAL)
}


def corrupt(
    images: ImageArray,
    name: str,
    strength: int,
    seed: int,
    ids: Sequence[str] | None = None,
    meter: Meter | None = None,
) -> ImageArray:
    """Return corrupted images, of the same shape.

    Args:
        images: (N, H, W, C) uint8, of any number of channels; they stay as they are.
        name: one of `CORRUPTIONS`.
        strength: 1, 2 or 3.
        seed: with the id of an image it decides what is drawn for it, at every strength the same.
        ids: (N,) of the images; their positions where none are given.
        meter: told of images passed.

    Raises:
        ConfigError: for an unknown name or strength.
    """
    if name not in CORRUPTIONS:
        raise ConfigError(
            f"no corruption {name!r}", where="corruption", hint=nearest(name, CORRUPTIONS)
        )
    if isinstance(strength, bool) or strength not in STRENGTHS:
        raise ConfigError(
            f"a strength of {strength!r}", where=f"corruption {name}", hint="give 1, 2 or 3"
        )
    found = np.empty(images.shape, dtype=np.uint8)
    for i, image in enumerate(images):
        own = str(i) if ids is None else str(ids[i])
        rng = generator(seed, "corruption", name, own)
        found[i] = CORRUPTIONS[name](np.asarray(image), int(strength), rng)
        if meter is not None:
            meter.advance()
    return found


def corrupted(
    dataset: Dataset, name: str, strength: int, seed: int, meter: Meter | None = None
) -> Dataset:
    """Return a data set of corrupted images; ids, labels, attributes and groups stay.

    What was measured on the clean pictures (features, facts of the files) is left out.

    Args:
        dataset: its images are copied.
        name, strength, seed, meter: as of `corrupt`; images are known by their ids.

    Raises:
        ConfigError: as `corrupt`, and where there are no images.
    """
    dataset.require_images(name)
    ids = dataset.ids.tolist()
    images = corrupt(dataset.images, name, strength, seed, ids, meter)
    called = f"{dataset.name} with {name} {strength}"
    return replace(
        dataset,
        images=images,
        features=None,
        backbone=None,
        facts_parquet=None,
        name=called,
        fingerprint=fingerprint(hash_images(images), ids, dataset.labels),
        problems=look_for_problems(images, called),
        notes=(*dataset.notes, f"corrupted: {name}, strength {strength} of 3, seed {seed}"),
    )
