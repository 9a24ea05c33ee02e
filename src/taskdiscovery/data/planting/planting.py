"""Plant a cue so that it goes with a label as often as is asked for.

Axes: N images.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data.planting.camera import CAMERA
from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.data.planting.light import LIGHT
from taskdiscovery.data.planting.marks import MARKS
from taskdiscovery.data.readers.arrays import from_arrays
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, Dataset, Document, ImageArray, IntArray, Labeling

if TYPE_CHECKING:
    import pandas as pd

#: every cue, by name.
CUES: dict[str, Cue] = {cue.name: cue for cue in (*MARKS, *LIGHT, *CAMERA)}


@dataclass(frozen=True, eq=False, kw_only=True)
class Planted:
    """Images with a cue in some of them, and which.

    Attributes:
        dataset: the images; labels are the target's classes.
        cue: what was planted.
        strength: the share of images whose label the cue tells.
        target: the binary labeling that it goes with.
        has_N: (N,) True where an image has the cue.
        seed: that decided which.
    """

    dataset: Dataset
    cue: Cue
    strength: float
    target: Labeling
    has_N: BoolArray
    seed: int

    @property
    def aligned_N(self) -> BoolArray:
        """(N,) True where the cue tells the class of the image."""
        return self.has_N == (self.target.labels_N == 1)

    @property
    def numbers(self) -> Document:
        """What was done, as in `planted.json`."""
        return {
            "cue": self.cue.name,
            "about": self.cue.about,
            "family": self.cue.family,
            "strength": self.strength,
            "target": self.target.name,
            "classes": list(self.target.classes),
            "class_with_cue": self.target.classes[1],
            "seed": self.seed,
            "images": len(self.has_N),
            "with_cue": int(self.has_N.sum()),
            "aligned": int(self.aligned_N.sum()),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row per image: `image_id`, `class`, `cue`, `aligned`."""
        import pandas as pd

        classes = np.asarray(self.target.classes)
        return pd.DataFrame(
            {
                "image_id": self.dataset.ids,
                "class": classes[self.target.labels_N],
                "cue": self.has_N,
                "aligned": self.aligned_N,
            }
        )

    def __repr__(self) -> str:
        told = f"goes with {self.target.name} in {self.strength:.0%} of {len(self.has_N):,} images"
        return f"<Planted {self.cue.name}: {told}>"


def plant(
    dataset: Dataset,
    target: Labeling,
    cue: str,
    strength: float,
    seed: int,
    meter: Meter | None = None,
) -> Planted:
    """Plant a cue.

    Args:
        dataset: the images; they are copied. Images without a class of the target are left out.
        target: a labeling of two classes; the cue goes with the second.
        cue: one of `CUES`.
        strength: the share of the images of either class whose label the cue tells: 1 says that
            all of the second class have it and none of the first, 0.5 that it goes with nothing,
            0 the reverse of 1.
        seed: decides which images have it, and what is drawn in each.
        meter: told of images passed.

    Raises:
        ConfigError: for an unknown cue, a strength outside of [0, 1], a target of more classes.
        DataError: where there are no images.
    """
    dataset.require_images("plant")
    if cue not in CUES:
        raise ConfigError(f"no cue {cue!r}", where="--cue", hint=nearest(cue, CUES))
    if not 0 <= strength <= 1:
        raise ConfigError(
            f"a strength of {strength:g}", where="--strength", hint="give a share from 0 to 1"
        )
    if target.k != 2:
        raise ConfigError(
            f"{target.name} has {target.k} classes",
            where="--target",
            hint="plant a cue for some of them against the rest: label:A,B",
        )
    rows = np.flatnonzero(target.known_N)
    labels_n = target.labels_N[rows]
    if len(np.unique(labels_n)) < 2:
        raise DataError(f"{target.name} has images of one class", where=dataset.name)
    has_n = _drawn(labels_n == 1, strength, seed)
    images = np.array(dataset.images[rows])
    for i in np.flatnonzero(has_n):
        # By id: a picture has the same cue in whatever selection it stands.
        images[i] = CUES[cue].change(images[i], generator(seed, cue, str(dataset.ids[rows[i]])))
        if meter is not None:
            meter.advance()
    kept = replace(
        target, labels_N=labels_n, ids_N=target.ids_N[rows], coordinates_NC=None, seen_N=None
    )
    return Planted(
        dataset=_planted(dataset, rows, images, kept, cue),
        cue=CUES[cue],
        strength=strength,
        target=kept,
        has_N=has_n,
        seed=seed,
    )


def _drawn(upper_N: BoolArray, strength: float, seed: int) -> BoolArray:
    """Draw who has the cue: exactly its share of each class."""
    rng, has_N = generator(seed, "planted"), np.zeros(len(upper_N), dtype=np.bool_)
    for own, share in ((upper_N, strength), (~upper_N, 1 - strength)):
        rows = rng.permutation(np.flatnonzero(own))
        has_N[rows[: round(share * len(rows))]] = True
    return has_N


def _planted(
    dataset: Dataset, rows: IntArray, images: ImageArray, target: Labeling, cue: str
) -> Dataset:
    attributes, groups = dataset.attributes, dataset.groups
    planted = from_arrays(
        images,
        target.labels_N,
        ids=dataset.ids[rows].tolist(),
        classes=target.classes,
        attributes=None if attributes is None else attributes.iloc[rows],
        name=f"{dataset.name} with {cue}",
    )
    return planted if groups is None else replace(planted, groups=groups[rows])
