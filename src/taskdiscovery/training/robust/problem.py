"""What a learner that resists shortcuts is given, and how it is measured: by its worst group.

Groups are told from outside, usually class × shortcut: images of one class that have the shortcut
of their class, images of that class that have another's, and so on.

Axes: n training images, m held-out images, C classes, G groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from taskdiscovery.config import is_convex
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import predict
from taskdiscovery.training.work import Training
from taskdiscovery.types import FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the learners are told beside their recipe; what is not a learner's it ignores.

    The first three defaults are published ones. None is right everywhere: see `tuning`.

    Attributes:
        rate: of group DRO, how fast groups gain weight; 0.01 by default in its authors' code.
        first: of JTT, the first training's share of the schedule; 0.2 as for Waterbirds (60 of 300
            epochs), at least one epoch.
        up: of JTT, how often an image counts that the first training gets wrong; 100 as for
            Waterbirds (50 for CelebA, 4 and 6 for text).
        subsets: of last-layer retraining, how many draws of equal groups are averaged.

    Raises:
        ConfigError: for a value that means nothing.
    """

    rate: float = 0.01
    first: float = 0.2
    up: float = 100.0
    subsets: int = 10

    def __post_init__(self) -> None:
        """Refuse what means nothing."""
        fine = {
            "rate": (np.isfinite(self.rate) and self.rate >= 0, "0 or more"),
            "first": (0 < self.first <= 1, "above 0, and 1 at most"),
            "up": (np.isfinite(self.up) and self.up > 0, "above 0"),
            "subsets": (self.subsets >= 1, "1 or more"),
        }
        for name, (good, expected) in fine.items():
            if not good:
                raise ConfigError(
                    f"{getattr(self, name)} is no setting of a robust learner",
                    where=name,
                    hint=f"expected: {expected}",
                )


@dataclass(frozen=True, eq=False, kw_only=True)
class Held:
    """Images with known class and group, on which no network is trained.

    Attributes:
        rows: (m,) images.
        targets: (m,) classes.
        groups: (m,) numbers of groups, those of the training images.
    """

    rows: IntArray
    targets: IntArray
    groups: IntArray

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together.

        Raises:
            DataError: for no image, or for another number of classes or groups than of images.
        """
        _check_groups(self.groups, len(self.rows), "held-out")
        if len(self.targets) != len(self.rows):
            raise DataError(
                f"{len(self.rows)} held-out images, but {len(self.targets)} classes of them",
                hint="give one class for each",
            )

    def taken(self, places: IntArray) -> Held:
        """Return some of them, by their places."""
        return Held(
            rows=self.rows[places], targets=self.targets[places], groups=self.groups[places]
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A training, and what a robust learner may know beside it.

    Attributes:
        training: of a network, on classes.
        groups: (n,) number of each training image's group, from 0 without a gap.
        held: images for what is fitted or tuned apart from the training, last layers among it;
            None where there are none.
        settings: of the learners.

    Raises:
        ConfigError: for a learner that is no network, or a training that robust learners cannot do.
        DataError: for a group without images, or held-out images that are trained on or measured.
    """

    training: Training
    groups: IntArray
    held: Held | None = None
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        """Refuse what cannot be learnt, or would leak."""
        training = self.training
        if is_convex(training.learner.name):
            raise ConfigError(
                "robust learners train networks",
                where=f"--learner {training.learner.name}",
                hint="choose a network: linear, mlp, convnet, resnet18, vit",
            )
        if training.loss != "cross entropy" or training.monitored is not None:
            raise ConfigError(
                "robust learners learn classes, for the whole schedule",
                hint="give a training with classes as targets, and without an early end",
            )
        count = _check_groups(self.groups, len(training.rows), "training")
        missing = np.setdiff1d(np.arange(count), self.groups)
        if len(missing):
            raise DataError(
                f"group {missing[0]} has no training image",
                hint="number the groups that have images, or give images of each",
            )
        if self.held is not None:
            self._check_held(self.held, count)

    def _check_held(self, held: Held, count: int) -> None:
        used = np.concatenate([self.training.rows, self.training.measured])
        if np.isin(held.rows, used).any():
            raise DataError(
                "held-out images are also trained on or measured",
                hint="hold out images that serve nothing else",
            )
        strange = np.setdiff1d(held.groups, np.arange(count))
        if len(strange):
            raise DataError(
                f"group {strange[0]} has held-out images, but no training image",
                hint="number the groups alike in both",
            )


class ByGroup(NamedTuple):
    """How a network fares on each group.

    Attributes:
        accuracy_G: (G,) NaN for a group without images.
        worst: the least of them.
    """

    accuracy_G: FloatArray
    worst: float


def by_group(predicted_m: IntArray, truth_m: IntArray, groups_m: IntArray) -> ByGroup:
    """Return accuracy by group.

    Args:
        predicted_m, truth_m: (m,) classes.
        groups_m: (m,) numbers of groups.

    Raises:
        DataError: where there are no images.
    """
    _check_groups(groups_m, len(truth_m), "measured")
    counts_G = np.bincount(groups_m)
    right_G = np.bincount(groups_m, weights=predicted_m == truth_m)
    with np.errstate(invalid="ignore"):
        accuracy_G = right_G / counts_G
    return ByGroup(accuracy_G, float(np.nanmin(accuracy_G)))


def by_group_of(model: Model, images: Images, held: Held, precision: str) -> ByGroup:
    """Return a network's accuracy by group on images with known classes and groups."""
    predicted_m = predict(model, images, held.rows, precision).argmax(dim=1).numpy()
    return by_group(predicted_m, held.targets, held.groups)


def _check_groups(groups: IntArray, images: int, which: str) -> int:
    """Return how many groups there are, the highest number counting.

    Raises:
        DataError: for none, too few or too many numbers, or one below 0.
    """
    if images == 0:
        raise DataError(f"there are no {which} images", hint="give some of each group")
    if len(groups) != images:
        raise DataError(
            f"{images} {which} images, but groups of {len(groups)}",
            hint="give one number of a group for each image",
        )
    if not np.issubdtype(groups.dtype, np.integer) or groups.min() < 0:
        raise DataError(
            f"groups of {which} images must be whole numbers from 0",
            hint="number the groups: numpy.unique(…, return_inverse=True)[1]",
        )
    return int(groups.max()) + 1
