"""Images with what is known of them, and the labelings that people gave them.

Axes: N images, C classes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import display
from taskdiscovery.types.aliases import BoolArray, IdArray, ImageArray, IntArray, Matrix
from taskdiscovery.types.backbone import Backbone
from taskdiscovery.types.classes import is_number
from taskdiscovery.types.labeling import Labeling

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Dataset:
    """Images with what is known of them.

    Attributes:
        images: (N, H, W, channels) uint8, in memory or memory-mapped; channels is 1 or 3 for
            pictures, anything from 1 for arrays. Features that stand alone have (N, 0, 0, 1).
        ids: (N,) distinct strings, a path or a row number.
        labels: (N,) class indices into `classes`, -1 where an image has none; or None.
        classes: class names, in index order; empty without labels.
        attributes: one row per image, or None.
        features: (N, P) numbers of a frozen network or of a table, of any floating type, in memory
            or memory-mapped; or None.
        backbone: the network that gave the features, where it is known.
        groups: (N,) what belongs together (a patient, a video, a burst), "" for an image by itself;
            or None. Groups are kept together wherever images are cut into parts.
        train_N: (N,) True for images to train on, False for those to measure on alone, where the
            data came with a partition; or None, and one is drawn.
        grouped_by: the column that `groups` are from; empty where they were given as values.
        test: what `train_N` is from: a column, or the DATA that the images to measure on alone were
            read from; empty for neither.
        name: the DATA specification that it was read from.
        fingerprint: SHA-256 over images, ids and labels; the same data has the same fingerprint
            wherever it is read.
        problems: what reading found worth telling (skipped files, constant images, duplicates),
            one line each; `info` prints them.
        notes: what reading did that is no problem (images turned upright, a scale, pixels taken as
            they were decoded), one line each.
        size, fit, range: how images were read: the side that was asked for, how they were made to
            fit it, and the values that became 0 and 255 where these were not bytes; None for none.
        facts_parquet: `facts` as a Parquet file, as the cache keeps it; None where pixels did not
            come from files.
        missing: texts that stand for a missing value in tables of labels.
    """

    images: ImageArray
    ids: IdArray
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    attributes: pd.DataFrame | None = None
    features: Matrix | None = None
    backbone: Backbone | None = None
    groups: IdArray | None = None
    train_N: BoolArray | None = None
    grouped_by: str = ""
    test: str = ""
    name: str = "array"
    fingerprint: str = ""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    size: int | None = None
    fit: str = "crop"
    range: tuple[float, float] | None = None
    facts_parquet: bytes | None = field(default=None, repr=False)
    missing: tuple[str, ...] = ()

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
            ("train_N", self.train_N),
        ):
            if column is not None and len(column) != len(self.images):
                raise DataError(
                    f"{len(column)} {what} for {len(self.images)} images",
                    where=self.name,
                    hint=f"give one entry of {what} per image",
                )
        if self.features is not None and (
            self.features.ndim != 2 or self.features.dtype.kind != "f" or not self.features.shape[1]
        ):
            raise DataError(
                f"features must be floats of shape (N, P), got {self.features.dtype} of shape "
                f"{self.features.shape}",
                where=self.name,
                hint="give them to load(data, features=…), which converts and checks",
            )
        if self.labels is not None and self.labels.max(initial=-1) >= len(self.classes):
            raise DataError(
                f"label {self.labels.max()} has no name among {len(self.classes)} classes",
                where=self.name,
                hint="give `classes`, or use taskdiscovery.from_arrays, which names them",
            )

    def __repr__(self) -> str:
        height, width, channels = self.image_shape
        text = f"<Dataset {self.name}: {len(self):,} "
        if self.has_images:
            text += f"images, {width} x {height}, {channels} channel{'s' * (channels > 1)}"
        else:
            text += "rows without images"
        classes = f", {len(self.classes)} classes" if self.labels is not None else ", no labels"
        columns = 0 if self.attributes is None else len(self.attributes.columns)
        attributes = f", {columns} attributes" if columns else ""
        features = "" if self.features is None else f", {self.features.shape[1]:,} features"
        groups = "" if self.groups is None else f", {len(np.unique(self.groups)):,} groups"
        held = 0 if self.train_N is None else int((~self.train_N).sum())
        measured = f", {held:,} to measure on" if held else ""
        return f"{text}{classes}{attributes}{features}{groups}{measured}>"

    def _repr_html_(self) -> str:
        if not self.has_images:
            return display.table(repr(self)[1:-1], [])
        shown = np.unique(np.linspace(0, len(self) - 1, display.SHOWN).round().astype(int))
        pictures = display.Pictures(self.images[shown], self.ids[shown])
        return display.table(repr(self)[1:-1], [{"images": pictures}])

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_images(self) -> bool:
        """Whether there are images, and not features alone."""
        return self.images.shape[1] > 0

    @property
    def pictures(self) -> ImageArray | None:
        """The images, where there are some."""
        return self.images if self.has_images else None

    @property
    def content(self) -> ImageArray | Matrix:
        """What the rows are known by: images, or features where these stand alone."""
        if self.has_images or self.features is None:
            return self.images
        return self.features

    def require_images(self, who: str) -> None:
        """Refuse to look at pixels where there are none.

        Args:
            who: wants to, for the error.

        Raises:
            ConfigError: where features stand alone.
        """
        if not self.has_images:
            raise ConfigError(
                f"{who} looks at pixels, and the data has features alone",
                where=self.name,
                hint="take --learner ridge, logistic or mlp, or give the images as DATA and these "
                "as --features",
            )

    @property
    def has_row_numbers(self) -> bool:
        """Whether the ids are row numbers, which the images of any other data set may have, too."""
        return np.array_equal(self.ids, np.arange(len(self)).astype(str))

    @cached_property
    def facts(self) -> pd.DataFrame | None:
        """What the files say of themselves, one row per image; None where there are no files.

        Columns: `bytes`, `bytes_per_pixel`, `format`, `mode`, `width`, `height` (upright),
        `aspect`, `bits`, `exif`, `orientation`, `icc`, `quantization`, `quality`, `progressive`,
        `time` (seconds since 1970), `camera`; and of pixels before they were resized `blockiness`,
        `noise`, `sharpness` (logarithms; NaN below 16 pixels a side).

        Raises:
            DataError: where there are other images than files.
        """
        if self.facts_parquet is None:
            return None
        import pandas as pd

        table = pd.read_parquet(io.BytesIO(self.facts_parquet))
        if len(table) != len(self):
            raise DataError(
                f"{len(table)} facts for {len(self)} images",
                where=self.name,
                hint="set facts_parquet to None where images are chosen or made anew",
            )
        return table

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, channels) of every image."""
        height, width, channels = self.images.shape[1:]
        return int(height), int(width), int(channels)

    def target(self, spec: str) -> Labeling:
        """Return the labeling that a target SPEC names.

        Args:
            spec: `label` (every class), `label:cat,dog` or `label:0,1,8,9` (these classes, as
                class 1, against the rest; numbers are positions where no class name is one), or
                `attr:COLUMN` (one class per value). Images without a value have class -1.

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
        labels = np.where(self.labels < 0, -1, np.isin(self.labels, chosen)).astype(np.int64)
        named = ",".join(self.classes[c] for c in sorted(set(chosen)))
        return self._labeling(spec, labels, ("rest", named))

    def _class_index(self, word: str, spec: str) -> int:
        if word in self.classes:
            return self.classes.index(word)
        hint = nearest(word, self.classes)
        if not self.has_positions:
            hint = f"choose from: {', '.join(self.classes)}"
        elif word.isascii() and word.isdecimal() and int(word) < len(self.classes):
            return int(word)
        else:
            hint += f" (or a position up to {len(self.classes) - 1})"
        raise ConfigError(f"no class {word!r} in {self.name}", where=f"--target {spec}", hint=hint)

    @property
    def has_positions(self) -> bool:
        """Whether `label:0` may mean the first class: no class has a number as its name."""
        return not any(is_number(name) for name in self.classes)

    def half_of_classes(self) -> str | None:
        """Return the target SPEC of the first half of the classes that have images.

        Returns:
            As `label:0,1,2`; None where fewer than two classes have images, or their names cannot
            stand in a SPEC.
        """
        if self.labels is None:
            return None
        known = np.unique(self.labels[self.labels >= 0])
        if len(known) < 2:
            return None
        half = [int(c) for c in known[: len(known) // 2]]
        if self.has_positions:
            return f"label:{','.join(map(str, half))}"
        names = [self.classes[c] for c in half]
        if any("," in name or name != name.strip() for name in names):
            return None
        return f"label:{','.join(names)}"

    def _attribute_target(self, spec: str, column: str) -> Labeling:
        known = [] if self.attributes is None else [str(c) for c in self.attributes.columns]
        if self.attributes is None or column not in known:
            raise ConfigError(
                f"no attribute {column!r} in {self.name}",
                where=f"--target {spec}",
                hint=nearest(column, known) if known else "this data has no attribute columns",
            )
        names = [str(c) for c in self.attributes.columns]
        values = self.attributes.iloc[:, names.index(column)]
        return Labeling.from_values(spec, values, self.ids, self.missing)

    def _labeling(self, name: str, labels: IntArray, classes: tuple[str, ...]) -> Labeling:
        return Labeling(name=name, classes=classes, labels_N=labels, ids_N=self.ids)
