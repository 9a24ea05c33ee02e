"""Held-out images, corrupted: domains on which one sees what an estimator says, and what is true.

Axes: K runs, r images, D domains, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.config import EstimateConfig
from taskdiscovery.data import partition
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.types import Dataset, Float32, FloatArray, ImageArray, IntArray

if TYPE_CHECKING:
    from taskdiscovery.training.members import Member

#: images that are corrupted by default, of at most so many pixels a side; fewer of larger ones,
#: since time goes with pixels, and never fewer than `_FEWEST`, which tell accuracy to 0.1.
_IMAGES, _SIDE, _FEWEST = 500, 64, 100
#: of one domain, that a run keeps by default.
_PROBABILITIES = 200_000
#: bytes of all domains that are kept from run to run.
_KEPT = 2**28
#: images as they are: a kind of their own.
CLEAN = "none"


def refused(config: EstimateConfig, dataset: Dataset, held: int) -> str:
    """Say why no shifts are made, or nothing.

    Args:
        config: with the runs that will be trained.
        dataset: the labelled images.
        held: how many are held out.
    """
    if config.made_shifts == 0:
        return "no shifts were made (--made-shifts 0)"
    if config.on_features or not dataset.has_images:
        return "needs a learner on pixels"
    if config.runs < 2:
        return "needs 2 runs"
    if held < _FEWEST:
        return f"{held} images are held out, {_FEWEST} are needed"
    return ""


def rows_to_corrupt(
    config: EstimateConfig, dataset: Dataset, held: IntArray, classes: int
) -> IntArray:
    """Return (r,) those of the held-out rows that are corrupted."""
    wanted = config.made_shifts
    if wanted is None:
        side = min(dataset.images.shape[1:3])
        few = min(_IMAGES, _PROBABILITIES // classes) * min(1.0, (_SIDE / side) ** 2)
        wanted = max(_FEWEST, round(few))
    return partition.sample(held, wanted, config.seed, "made shifts")


def domains() -> list[tuple[str, int]]:
    """Return the kind of corruption and the strength of each domain; clean ones first."""
    from taskdiscovery.data.corruptions import CORRUPTIONS, STRENGTHS

    return [(CLEAN, 0), *((name, strength) for name in CORRUPTIONS for strength in STRENGTHS)]


class MadeShifts:
    """The domains, made when a run is asked, and kept for the next where they are small.

    Args:
        dataset: whose images are corrupted.
        rows: (r,) of them.
        seed: of the corruptions.
    """

    def __init__(self, dataset: Dataset, rows: IntArray, seed: int) -> None:
        self.images, self.ids = np.asarray(dataset.images[rows]), dataset.ids[rows].tolist()
        self.seed = seed
        self._kept: dict[tuple[str, int], ImageArray] = {}
        self._keep = len(domains()) * self.images.nbytes <= _KEPT

    def asked(self, member: Member, meter: Meter) -> Float32:
        """Ask one run about every domain.

        Args:
            member: the run.
            meter: told of images.

        Returns:
            (D, r, C) probabilities.
        """
        found = []
        for domain in domains():
            found.append(member.probabilities(self._domain(domain)).astype(np.float32))
            meter.advance(len(self.images))
        return np.stack(found)

    def _domain(self, domain: tuple[str, int]) -> ImageArray:
        from taskdiscovery.data.corruptions import corrupt

        if domain in self._kept:
            return self._kept[domain]
        kind, strength = domain
        if kind == CLEAN:
            return self.images
        made = corrupt(self.images, kind, strength, self.seed, self.ids)
        if self._keep:
            self._kept[domain] = made
        return made


def sums_to_one(p_KDrC: Float32) -> FloatArray:
    """Return probabilities in float64 whose sum is 1."""
    wide = p_KDrC.astype(np.float64)
    return np.asarray(wide / wide.sum(axis=-1, keepdims=True))
