"""A learner that was trained on a labeling and is kept: predict, evaluate, save.

Axes: N images, n of them measured, K runs, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config import Network
from taskdiscovery.data.images.contents import digests
from taskdiscovery.data.labels.targets import is_target_spec, target_of
from taskdiscovery.data.partition import whole
from taskdiscovery.errors import ConfigError, DataError
from taskdiscovery.features import is_backbone, load, with_features
from taskdiscovery.training import keeping
from taskdiscovery.training.evaluating import evaluated
from taskdiscovery.training.members import Member
from taskdiscovery.types import (
    Backbone,
    Dataset,
    Document,
    Evaluation,
    FloatArray,
    IntArray,
    Labeling,
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Fitted:
    """A learner that was trained on a labeling, once or several times, and is kept.

    Attributes:
        target: what was learnt, as it was named.
        classes: in index order; the columns of `predict_proba`.
        learner: SPEC, or the name of a class or factory.
        members: a trained network, or linear learner, per run.
        shape: (H, W, channels) of an image that it takes; (1, 1, P) of features.
        features: where its features come from; empty where it looks at pixels.
        backbone: the network whose features it takes, where that is known.
        reading: how images were read, and others are: `size`, `fit`, `range`, `missing`.
        trained_on: hashes of the images that it was trained on.
        evaluation: on the images that were held out of the data, or are its `--test`.
        config: every option of the training.
    """

    target: str
    classes: tuple[str, ...]
    learner: str
    members: tuple[Member, ...]
    shape: tuple[int, int, int]
    features: str = ""
    backbone: Backbone | None = None
    reading: Mapping[str, Any] = field(default_factory=dict)
    trained_on: NDArray[np.uint64] = field(repr=False)
    evaluation: Evaluation | None = None
    config: Document = field(default_factory=dict)

    @property
    def k(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def __repr__(self) -> str:
        runs = f"{len(self.members)} run{'s' * (len(self.members) > 1)}"
        text = f"<Fitted {self.learner} on {self.target}: {self.k} classes, {runs}"
        if self.evaluation is not None:
            found = self.evaluation.accuracy
            text += f", accuracy {found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
        return f"{text}>"

    def _repr_html_(self) -> str:
        from taskdiscovery.types import display

        if self.evaluation is None:
            return display.table(repr(self)[1:-1], [])
        return self.evaluation._repr_html_()

    def predict(self, data: Any) -> NDArray[np.object_]:
        """Return (N,) class names: of the largest mean probability over the runs.

        Args:
            data: anything that `load` takes; images are read as those that it was trained on.

        Raises:
            DataError: for images of another shape, or features of another width or network.
        """
        names = np.array(self.classes, dtype=object)
        return names[self.predict_proba(data).argmax(axis=1)]

    def predict_proba(self, data: Any) -> FloatArray:
        """Return (N, C) mean probabilities over the runs; arguments and errors as of `predict`.

        Those of a ridge are its outputs, clipped and made to sum to 1: they rank, and no more.
        """
        dataset = self._read(data)
        found: FloatArray = self.probabilities(dataset, np.arange(len(dataset))).mean(axis=0)
        return found

    def evaluate(self, data: Any, target: Any = None, *, groups: Any = None) -> Evaluation:
        """Say how it fares on images that it was not trained on.

        Args:
            data: anything that `load` takes. Images that it was trained on, known by their content,
                and what belongs together with them, are left out, and counted.
            target: their labeling, as `score` takes it; by default the one that it was trained on.
                Classes are matched by name; images of others are left out, and counted.
            groups: what belongs together, as `load` takes it: one draw each in intervals, and a row
                each in `per_level`.

        Raises:
            ConfigError: where the labeling cannot be found.
            DataError: as `predict`, and where no image is left.
        """
        if target is None and not is_target_spec(self.target) and ":" not in self.target:
            raise ConfigError(
                f"the learner was trained on values that were given as {self.target!r}",
                where="evaluate",
                hint="give those of these images: evaluate(data, target=…)",
            )
        dataset = self._read(data, groups)
        labeling = self.labeling(target_of(dataset, self.target if target is None else target))
        seen_N = np.isin(digests(dataset.content), self.trained_on)
        seen_N = whole(seen_N, dataset.groups)
        return self.evaluate_rows(dataset, labeling, np.flatnonzero(~seen_N), int(seen_N.sum()))

    def evaluate_rows(
        self, dataset: Dataset, labeling: Labeling, rows: IntArray, seen: int = 0
    ) -> Evaluation:
        """Say how it fares on some images; for those who know that it was not trained on these.

        Args:
            dataset: the images.
            labeling: in its classes, as `labeling` gives it.
            rows: (n,) those to be measured; images without a class take no part.
            seen: how many others were left out.

        Raises:
            DataError: where no image is left.
        """
        known = rows[labeling.labels_N[rows] >= 0]
        if not len(known):
            raise DataError(
                f"no image has a class that {self.learner} was not trained on, and knows: "
                f"{', '.join(self.classes[:5])}",
                where=dataset.name,
                hint="give other images than those it was trained on, and classes of the same "
                "names",
            )
        left: Document = {"seen": seen, "unknown": len(rows) - len(known)}
        shares_KnC = self.probabilities(dataset, known)
        return evaluated(shares_KnC, dataset, labeling, known, learner=self.learner, **left)

    def labeling(self, given: Labeling) -> Labeling:
        """Return a labeling in its own classes, by name; -1 for those it does not know."""
        places = {name: c for c, name in enumerate(self.classes)}
        number = np.array([*(places.get(name, -1) for name in given.classes), -1], dtype=np.int64)
        return replace(
            given,
            classes=self.classes,
            labels_N=number[given.labels_N],
            coordinates_NC=None,
        )

    def probabilities(self, dataset: Dataset, rows: IntArray) -> FloatArray:
        """Return (K, n, C) of each run.

        Raises:
            DataError: where the data set is of another kind.
        """
        if self.features:
            self._check_features(dataset)
            assert dataset.features is not None
            inputs: Any = np.asarray(dataset.features[rows])[:, None, None, :]
        else:
            inputs = dataset.images[rows]
        if inputs.shape[1:] != self.shape:
            raise DataError(
                f"{self.learner} takes images of {_shape(self.shape)}, these are "
                f"{_shape(inputs.shape[1:])}",
                where=dataset.name,
                hint="read both with the same --size; grey images and colour ones do not mix",
            )
        return np.stack([member.probabilities(inputs) for member in self.members])

    def _check_features(self, dataset: Dataset) -> None:
        """Refuse features that are not those of its network.

        Raises:
            DataError: saying which they are.
        """
        width = self.shape[2]
        if dataset.features is None or dataset.features.shape[1] != width:
            has = "none" if dataset.features is None else str(dataset.features.shape[1])
            raise DataError(
                f"{self.learner} takes {width} features, the data has {has}",
                where=dataset.name,
                hint="give load(data, features=…) those of the same network or table",
            )
        if self.backbone and dataset.backbone and self.backbone != dataset.backbone:
            raise DataError(
                f"{self.learner} takes features of {self.backbone}, these are of "
                f"{dataset.backbone}",
                where=dataset.name,
                hint="give features of the same backbone, size and weights",
            )

    def _read(self, data: Any, groups: Any = None) -> Dataset:
        """Read images as those that it was trained on, with the features that it takes."""
        how = {} if isinstance(data, Dataset) else dict(self.reading)
        dataset = load(data, groups=groups, callbacks=(), **how)
        if self.features and dataset.features is None and is_backbone(self.features):
            return with_features(dataset, self.features, callbacks=())
        return dataset

    def save(self, path: Path | str) -> Path:
        """Write it to a safetensors file, that `td.load_fitted` reads; nothing is pickled.

        Raises:
            ConfigError: for another ending.
            ResourceError: where the place cannot be written.
        """
        path = Path(path)
        if path.suffix != ".safetensors":
            raise ConfigError(
                "a learner goes into .safetensors", where=str(path), hint="rename the file"
            )
        header: Document = {
            "learner": self.learner,
            "target": self.target,
            "classes": list(self.classes),
            "shape": list(self.shape),
            "features": self.features,
            "backbone": None if self.backbone is None else self.backbone.to_json(),
            "reading": {k: list(v) if isinstance(v, tuple) else v for k, v in self.reading.items()},
            "config": self.config,
        }
        return keeping.save(path, header, self.members, self.trained_on)

    @classmethod
    def load(cls, path: Path | str, objects: Mapping[str, Network] | None = None) -> Fitted:
        """Read a learner that `save` wrote.

        Args:
            path: of the file.
            objects: networks that the caller has named, by name.

        Raises:
            RunDirError: where it is missing, damaged, or of a network that the caller has not
                named.
        """
        return cls(**keeping.read(Path(path), objects or {}))


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
