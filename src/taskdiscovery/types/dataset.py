"""Images with what is known of them, and the labelings that people gave them.

Axes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types.aliases import BoolArray, IdArray, ImageArray, IntArray

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
    name: str = "array"
    fingerprint: str = ""
    problems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DataError(
                f"images must be uint8 of shape (N, H, W, channels), got {self.images.dtype} "
                f"of shape {self.images.shape}",
                where=self.name,
                mend="use taskdiscovery.data.from_arrays, which converts and checks",
            )
        for what, column in (
            ("ids", self.ids),
            ("labels", self.labels),
            ("attributes", self.attributes),
        ):
            if column is not None and len(column) != len(self.images):
                raise DataError(
                    f"{len(column)} {what} for {len(self.images)} images",
                    where=self.name,
                    mend=f"give one entry of {what} per image",
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, channels) of every image."""
        height, width, channels = self.images.shape[1:]
        return int(height), int(width), int(channels)

    def target(self, spec: str) -> Target:
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
                mend="use label, label:0,1 or label:cat,dog, attr:COLUMN, or FILE:COLUMN",
            )
        if len(np.unique(target.labels[target.known])) < 2:
            raise DataError(
                f"the target {spec!r} gives every image the same class",
                where=self.name,
                mend="choose a target with at least two classes among these images",
            )
        return target

    def _label_target(self, spec: str, rest: str) -> Target:
        if self.labels is None:
            raise DataError(
                "this data set has no labels",
                where=f"{self.name}, --target {spec}",
                mend="use attr:COLUMN or FILE:COLUMN, or data with labels",
            )
        if not rest:
            return Target(name=spec, labels=self.labels, classes=self.classes)
        chosen = [self._class_index(word.strip(), spec) for word in rest.split(",") if word.strip()]
        labels = np.isin(self.labels, chosen).astype(np.int64)
        named = ",".join(self.classes[c] for c in sorted(set(chosen)))
        return Target(name=spec, labels=labels, classes=("rest", named))

    def _class_index(self, word: str, spec: str) -> int:
        if word in self.classes:
            return self.classes.index(word)
        if word.isdigit() and int(word) < len(self.classes):
            return int(word)
        raise ConfigError(
            f"no class {word!r} in {self.name}",
            where=f"--target {spec}",
            mend=f"{nearest(word, self.classes)} (or an index up to {len(self.classes) - 1})",
        )

    def _attribute_target(self, spec: str, column: str) -> Target:
        known = [] if self.attributes is None else [str(c) for c in self.attributes.columns]
        if self.attributes is None or column not in known:
            raise ConfigError(
                f"no attribute {column!r} in {self.name}",
                where=f"--target {spec}",
                mend=nearest(column, known) if known else "this data has no attribute columns",
            )
        return target_from_values(spec, self.attributes[column].tolist())


@dataclass(frozen=True, eq=False, kw_only=True)
class Target:
    """A human labeling.

    Attributes:
        name: its specification.
        labels: (N,) class indices; -1 where the value is missing.
        classes: class names in index order.
    """

    name: str
    labels: IntArray
    classes: tuple[str, ...]

    @property
    def known(self) -> BoolArray:
        """(N,) True where the image has a class."""
        return self.labels >= 0

    @property
    def k(self) -> int:
        """The number of classes."""
        return len(self.classes)


def target_from_values(name: str, values: Sequence[object]) -> Target:
    """Turn a column of values into class indices, in sorted order; missing values become -1.

    Raises:
        DataError: where a column has more than 1,000 different values.
    """

    import pandas as pd

    codes, uniques = pd.factorize(np.fromiter(values, dtype=object, count=len(values)), sort=False)
    order = sorted(range(len(uniques)), key=lambda i: _sort_key(uniques[i]))
    if len(uniques) > 1000:
        raise DataError(
            f"{name} has {len(uniques)} different values",
            where=name,
            mend="a target needs at most 1,000 classes; cut the column into bins first",
        )
    rank = np.full(len(uniques) + 1, -1, dtype=np.int64)
    rank[np.array(order, dtype=np.int64)] = np.arange(len(uniques))
    return Target(
        name=name,
        labels=rank[np.asarray(codes, dtype=np.int64)],
        classes=tuple(str(uniques[i]) for i in order),
    )


def _sort_key(value: object) -> tuple[int, float, str]:
    if isinstance(value, int | float | np.number):
        return (0, float(value), "")
    return (1, 0.0, str(value))
