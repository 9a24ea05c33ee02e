"""Images with what is known of them, and the labelings that people gave them.

Axes: N images, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types.aliases import Float32, IdArray, ImageArray, IntArray
from taskdiscovery.types.labeling import Labeling

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset:
    """Images with what is known of them.

    Attributes:
        images: (N, H, W, channels) uint8, in memory or memory-mapped; channels is 1 or 3 for
            pictures, anything from 1 for arrays.
        ids: (N,) distinct strings, a path or a row number.
        labels: (N,) class indices into `classes`, or None.
        classes: class names, in index order; empty without labels.
        attributes: one row per image, or None.
        features: (N, P) float32 numbers of a frozen network or of a table, or None.
        groups: (N,) what belongs together (a patient, a video, a burst), or None.
        name: the DATA specification that it was read from.
        fingerprint: SHA-256 over images, ids and labels; the same data has the same fingerprint
            wherever it is read.
        problems: what reading found worth telling (skipped files, constant images, duplicates),
            one line each; `info` prints them.
    """

    images: ImageArray
    ids: IdArray
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    attributes: pd.DataFrame | None = None
    features: Float32 | None = None
    groups: IdArray | None = None
    name: str = "array"
    fingerprint: str = ""
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DataError(
                f"images must be uint8 of shape (N, H, W, channels), got {self.images.dtype} "
                f"of shape {self.images.shape}",
                where=self.name,
                hint="use taskdiscovery.from_arrays, which converts and checks",
            )
        for what, column in (
            ("ids", self.ids),
            ("labels", self.labels),
            ("attributes", self.attributes),
            ("features", self.features),
            ("groups", self.groups),
        ):
            if column is not None and len(column) != len(self.images):
                raise DataError(
                    f"{len(column)} {what} for {len(self.images)} images",
                    where=self.name,
                    hint=f"give one entry of {what} per image",
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, channels) of every image."""
        height, width, channels = self.images.shape[1:]
        return int(height), int(width), int(channels)

    def target(self, spec: str) -> Labeling:
        """Return the labeling that a target SPEC names.

        Args:
            spec: `label` (every class), `label:0,1,8,9` or `label:cat,dog` (these classes, as
                class 1, against the rest), or `attr:COLUMN` (one class per value).

        Raises:
            ConfigError: for an unknown form, class or column.
            DataError: where the data set has no labels, or the labeling has only one class.
        """
        kind, _, rest = spec.partition(":")
        if kind == "label":
            target = self._label_target(spec, rest)
        elif kind == "attr":
            target = self._attribute_target(spec, rest)
        else:
            raise ConfigError(
                f"cannot read the target {spec!r}",
                where="--target",
                hint="use label, label:0,1 or label:cat,dog, attr:COLUMN, or FILE:COLUMN",
            )
        if len(np.unique(target.labels_N[target.known_N])) < 2:
            raise DataError(
                f"the target {spec!r} gives every image the same class",
                where=self.name,
                hint="choose a target with at least two classes among these images",
            )
        return target

    def _label_target(self, spec: str, rest: str) -> Labeling:
        if self.labels is None:
            raise DataError(
                "this data set has no labels",
                where=f"{self.name}, --target {spec}",
                hint="use attr:COLUMN or FILE:COLUMN, or data with labels",
            )
        if not rest:
            return self._labeling(spec, self.labels, self.classes)
        chosen = [self._class_index(word.strip(), spec) for word in rest.split(",") if word.strip()]
        labels = np.isin(self.labels, chosen).astype(np.int64)
        named = ",".join(self.classes[c] for c in sorted(set(chosen)))
        return self._labeling(spec, labels, ("rest", named))

    def _class_index(self, word: str, spec: str) -> int:
        if word in self.classes:
            return self.classes.index(word)
        if word.isdigit() and int(word) < len(self.classes):
            return int(word)
        raise ConfigError(
            f"no class {word!r} in {self.name}",
            where=f"--target {spec}",
            hint=f"{nearest(word, self.classes)} (or an index up to {len(self.classes) - 1})",
        )

    def _attribute_target(self, spec: str, column: str) -> Labeling:
        known = [] if self.attributes is None else [str(c) for c in self.attributes.columns]
        if self.attributes is None or column not in known:
            raise ConfigError(
                f"no attribute {column!r} in {self.name}",
                where=f"--target {spec}",
                hint=nearest(column, known) if known else "this data has no attribute columns",
            )
        return Labeling.from_values(spec, self.attributes[column].tolist(), self.ids)

    def _labeling(self, name: str, labels: IntArray, classes: tuple[str, ...]) -> Labeling:
        return Labeling(name=name, classes=classes, labels_N=labels, ids_N=self.ids)
