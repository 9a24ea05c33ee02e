"""Values that cross the border between modules: `Dataset`, `Tasks`, `Score`, `Split`.

Axes: N images, D tasks, C classes, K runs; images are (N, H, W, channels), uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery import notebook
from taskdiscovery.errors import ConfigError, DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
ImageArray = NDArray[np.uint8]
IdArray = NDArray[np.str_]


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Tasks:
    """Labelings of the same images.

    Attributes:
        labels: (N, D) class indices.
        names: D task names.
        ids: (N,) image ids.
        k: classes per task (D,).
        coordinates: (N, D * (k - 1)) continuous coordinates of the encoder, or None for tasks
            that came from a file.
        train: (N,) True where discovery may have seen the image, or None where nothing was
            discovered.
        images: (N, H, W, channels) uint8, to show them in a notebook; or None.
    """

    labels: IntArray
    names: tuple[str, ...]
    ids: IdArray
    k: tuple[int, ...]
    coordinates: NDArray[np.float32] | None = None
    train: BoolArray | None = None
    images: ImageArray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.names)

    def _repr_html_(self) -> str:
        unseen = np.arange(len(self.ids)) if self.train is None else np.flatnonzero(~self.train)
        rows: list[dict[str, Any]] = []
        for d, name in enumerate(self.names):
            shares = np.bincount(self.labels[:, d], minlength=self.k[d]) / len(self.labels)
            row: dict[str, Any] = {"task": name, "classes": self.k[d], "rate": float(shares[-1])}
            if self.images is not None:
                for c in range(min(2, self.k[d])):
                    own = unseen[self.labels[unseen, d] == c]
                    if self.coordinates is not None and self.k[d] == 2:
                        own = own[np.argsort(-np.abs(self.coordinates[own, d]), kind="stable")]
                    chosen = own[: notebook.SHOWN]
                    row[f"class {c}"] = notebook.Pictures(self.images[chosen], self.ids[chosen])
            rows.append(row)
        return notebook.table(f"{len(self)} tasks of {len(self.ids):,} images", rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per image: `image_id`, `partition` where known, one column per task."""

        import pandas as pd

        frame = pd.DataFrame({"image_id": self.ids})
        if self.train is not None:
            frame["partition"] = np.where(self.train, "train", "test")
        columns = {name: self.labels[:, d] for d, name in enumerate(self.names)}
        return pd.concat([frame, pd.DataFrame(columns)], axis=1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: the estimate.
        low, high: ends of the interval, within [0, 1].
        covers: what the interval is over: "images and runs", or "images" where a single pair of
            runs leaves the part from runs unknown.
    """

    mean: float
    low: float
    high: float
    covers: str = "images and runs"

    def to_json(self) -> dict[str, float | str]:
        """Return `mean`, `low`, `high`, `covers`."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "covers": self.covers}


@dataclass(frozen=True, eq=False, kw_only=True)
class Score:
    """The agreement of K runs on one task, with all that is needed to read it.

    Attributes:
        task: its name.
        learner, preset, precision: how the runs were trained.
        runs: how many runs gave a finite result.
        agreement, low, high: agreement score and its 95 % interval, in [0, 1].
        covers: what the interval is over (see `Interval`).
        chance: agreement expected by chance from the class rates of the predictions.
        kappa: (agreement - chance) / (1 - chance); None where chance is 1.
        rate: share of class 1 among the test images for a binary task, else of the commonest
            class.
        accuracy: mean test accuracy against the task's own labels.
        per_image: (n,) mean agreement over pairs for each test image.
        test: (n,) indices of those images in the data set.
        failed: runs that diverged.
        seconds: time spent on training and predicting.
    """

    task: str
    learner: str
    preset: str
    precision: str
    runs: int
    agreement: float
    low: float
    high: float
    covers: str
    chance: float
    kappa: float | None
    rate: float
    accuracy: float
    per_image: NDArray[np.float32] = field(repr=False)
    test: IntArray = field(repr=False)
    failed: int = 0
    seconds: float = 0.0
    images: ImageArray | None = field(default=None, repr=False)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row, as in `scores.parquet`."""
        import pandas as pd

        return pd.DataFrame([self.to_row()])

    def _repr_html_(self) -> str:
        return Scores([self])._repr_html_()

    def to_row(self) -> dict[str, object]:
        """Return the row of `scores.parquet`: everything but the per-image values and the time."""
        return {
            "task": self.task,
            "learner": self.learner,
            "preset": self.preset,
            "precision": self.precision,
            "runs": self.runs,
            "agreement": self.agreement,
            "low": self.low,
            "high": self.high,
            "covers": self.covers,
            "chance": self.chance,
            "kappa": self.kappa,
            "rate": self.rate,
            "accuracy": self.accuracy,
            "failed": self.failed,
        }


class Scores(list[Score]):
    """A list of scores that a notebook shows as a table."""

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per score, as in `scores.parquet`."""
        import pandas as pd

        return pd.DataFrame([score.to_row() for score in self])

    def _repr_html_(self) -> str:
        rows: list[dict[str, Any]] = []
        for score in self:
            row: dict[str, Any] = {
                "task": score.task,
                "agreement": score.agreement,
                "interval": f"{score.low:.3f} to {score.high:.3f}",
                "kappa": score.kappa,
                "rate": score.rate,
                "accuracy": score.accuracy,
            }
            if score.images is not None:
                order = np.argsort(score.per_image, kind="stable")
                doubtful = score.test[order[score.per_image[order] < 1.0]][: notebook.SHOWN]
                row["runs disagree"] = notebook.Pictures(score.images[doubtful])
            rows.append(row)
        caption = "agreement of independent runs on images that none has seen"
        if self:
            first = self[0]
            caption += f"; {first.learner}, preset {first.preset}, {first.runs} runs"
        return notebook.table(caption, rows)


#: roles of an image in a split, with the numbers that Waterbirds-style readers expect.
TRAIN, WITHIN, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False, kw_only=True)
class Split:
    """A train-test split of a labelled data set, and how a learner fares on it.

    Attributes:
        target: name of the human labeling.
        task: name of the task that cuts it.
        ids: (N,) image ids.
        y: (N,) target class; -1 where unknown (such images have no role).
        place: (N,) class of the discovered task.
        role: (N,) 0 train, 1 held out within the train side, 2 test, -1 none.
        classes: names of the target's classes.
        accuracy: mean accuracy and interval for `adversarial`, `within` and each control.
        measured: how many images each figure was trained and measured on.
        images: (N, H, W, channels) uint8, to show them in a notebook; or None.
    """

    target: str
    task: str
    ids: IdArray
    y: IntArray
    place: IntArray
    role: NDArray[np.int8]
    classes: tuple[str, ...] = ()
    accuracy: dict[str, Interval] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)
    images: ImageArray | None = field(default=None, repr=False)

    def indices(self, role: int) -> IntArray:
        """Return the positions of the images of a role (TRAIN, WITHIN or TEST)."""
        return np.flatnonzero(self.role == role)

    @property
    def sizes(self) -> dict[str, int]:
        """How many images the split puts in `train`, `within` and `test`."""
        return {
            "train": int((self.role == TRAIN).sum()),
            "within": int((self.role == WITHIN).sum()),
            "test": int((self.role == TEST).sum()),
        }

    def subsets(self, dataset: Any = None) -> dict[str, Any]:
        """Return torch `Subset`s `train`, `within` and `test` of a map-style data set.

        Args:
            dataset: has the images of the split in the same order; where None, (image, y) pairs
                of uint8 arrays are taken from the split itself.

        Raises:
            DataError: where it has another number of images.
        """
        from torch.utils.data import Subset

        if dataset is None:
            if self.images is None:
                raise DataError("the split holds no images", mend="give the data set")
            dataset = [(image, int(y)) for image, y in zip(self.images, self.y, strict=True)]
        if len(dataset) != len(self.ids):
            raise DataError(
                f"the data set has {len(dataset)} images, the split {len(self.ids)}",
                mend="give the data set that was split, in the same order",
            )
        roles = {"train": TRAIN, "within": WITHIN, "test": TEST}
        return {name: Subset(dataset, self.indices(r).tolist()) for name, r in roles.items()}

    def predefined_split(self) -> Any:
        """Return scikit-learn's `PredefinedSplit` whose one test fold is the test side."""
        from sklearn.model_selection import PredefinedSplit

        return PredefinedSplit(np.where(self.role == TEST, 0, -1))

    def _repr_html_(self) -> str:
        rows: list[dict[str, Any]] = [
            {"figure": name, "accuracy": i.mean, "interval": f"{i.low:.3f} to {i.high:.3f}"}
            for name, i in self.accuracy.items()
        ]
        caption = f"{self.target}, split along {self.task}: {self.sizes}"
        text = notebook.table(caption, rows)
        if self.images is None:
            return text
        sides: list[dict[str, Any]] = []
        for c in sorted(set(self.y[self.role >= 0].tolist()))[:10]:
            name = self.classes[c] if c < len(self.classes) else f"class {c}"
            row: dict[str, Any] = {"class": name}
            for side, roles in (("trained on", (TRAIN, WITHIN)), ("tested on", (TEST,))):
                own = np.flatnonzero((self.y == c) & np.isin(self.role, roles))
                row[side] = notebook.Pictures(self.images[own[: notebook.SHOWN]])
            sides.append(row)
        return text + notebook.table("both sides", sides)

    def to_pandas(self) -> pd.DataFrame:
        """Return the same as `to_frame`."""
        return self.to_frame()

    def to_frame(self) -> pd.DataFrame:
        """Return `img_filename, y, split, place` for the images that have a role."""

        import pandas as pd

        kept = self.role >= 0
        return pd.DataFrame(
            {
                "img_filename": self.ids[kept],
                "y": self.y[kept],
                "split": self.role[kept].astype(np.int64),
                "place": self.place[kept],
            }
        )
