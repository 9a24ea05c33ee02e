"""A train-test split, and the forms in which other tools read it.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import detail, display
from taskdiscovery.types.aliases import Document, IdArray, ImageArray, IntArray
from taskdiscovery.types.dataset import Dataset
from taskdiscovery.types.detail import Detail
from taskdiscovery.types.labeling import Labeling
from taskdiscovery.types.scores import Interval
from taskdiscovery.types.setup import Copies, Setup

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from sklearn.model_selection import PredefinedSplit
    from torch.utils.data import Subset


#: roles of an image in a split, with the numbers that Waterbirds-style readers expect.
TRAIN, WITHIN, TEST = 0, 1, 2
ROLES = {"train": TRAIN, "within": WITHIN, "test": TEST}
Accuracies = dict[str, Interval]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Split:
    """A train-test split of a labelled data set, and how a learner fares on it.

    Attributes:
        target: the human labeling; images without a class have no role.
        task: the labeling that it was cut along.
        role_N: (N,) 0 train, 1 held out within the train side, 2 test, -1 none.
        setup: how it was made and measured.
        accuracy: mean accuracy and interval for `adversarial`, `within` and each control.
        measured: how many images each figure was trained and measured on.
        agreed: for each figure the `accuracy` on images on which all runs predict alike, and the
            `share` of such images.
        transfer: for other learners, the accuracies of `adversarial`, `random` and `within`.
        details: what stands beside each accuracy; of other learners as "mlp: random".
        random_there: accuracy of the random split's networks on the test images of this one: what
            can be learnt of these very images; None where that was not kept.
        copies: images that stand on both sides.
        sides: what differs between the train and the test side, most different first: `kind`,
            `name`, `train`, `test`, `difference`, `low`, `high`, `q`, as `analysis.sides` measures.
        images: (N, H, W, channels) uint8, to show them in a notebook; or None.
    """

    target: Labeling
    task: Labeling
    role_N: NDArray[np.int8]
    setup: Setup
    accuracy: Accuracies = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)
    agreed: dict[str, dict[str, float]] = field(default_factory=dict)
    transfer: dict[str, Accuracies] = field(default_factory=dict)
    details: dict[str, Detail] = field(default_factory=dict)
    random_there: Interval | None = None
    copies: Copies = field(default_factory=Copies)
    sides: tuple[Document, ...] = ()
    images: ImageArray | None = field(default=None, repr=False)

    @property
    def ids_N(self) -> IdArray:
        """(N,) image ids."""
        return self.target.ids_N

    @property
    def train_ids(self) -> IdArray:
        """The ids of the images to train on."""
        return self.ids_N[self.indices(TRAIN)]

    @property
    def within_ids(self) -> IdArray:
        """The ids of the images that are held out within the train side."""
        return self.ids_N[self.indices(WITHIN)]

    @property
    def test_ids(self) -> IdArray:
        """The ids of the images to test on."""
        return self.ids_N[self.indices(TEST)]

    def indices(self, role: int | str) -> IntArray:
        """Return the positions of the images of a role.

        Args:
            role: `train`, `within` or `test`, or the number that `role_N` has for it.

        Raises:
            ConfigError: for another role.
        """
        if isinstance(role, str) and role in ROLES:
            role = ROLES[role]
        if role not in ROLES.values():
            raise ConfigError(
                f"there is no role {role!r}", where="indices", hint=nearest(str(role), ROLES)
            )
        return np.flatnonzero(self.role_N == role)

    @property
    def sizes(self) -> dict[str, int]:
        """How many images the split puts in `train`, `within` and `test`."""
        return {name: int((self.role_N == role).sum()) for name, role in ROLES.items()}

    def subsets(self, dataset: Any = None) -> dict[str, Subset[Any]]:
        """Return torch `Subset`s `train`, `within` and `test` of a map-style data set.

        Args:
            dataset: has the images of the split in the same order; of a `Dataset`, or of the split
                itself where None, they are (image, y) pairs: (H, W, channels) uint8 and the class.

        Raises:
            DataError: where it has another number of images.
        """
        from torch.utils.data import Subset

        if dataset is None and self.images is None:
            raise DataError("the split holds no images", hint="give the data set")
        dataset = self.images if dataset is None else dataset
        if len(dataset) != len(self.ids_N):
            raise DataError(
                f"the data set has {len(dataset)} images, the split {len(self.ids_N)}",
                hint="give the data set that was split, in the same order",
            )
        plain = dataset.images if isinstance(dataset, Dataset) else dataset
        if isinstance(plain, np.ndarray):
            dataset = [
                (image, int(y)) for image, y in zip(plain, self.target.labels_N, strict=True)
            ]
        return {name: Subset(dataset, self.indices(r).tolist()) for name, r in ROLES.items()}

    def train_test(self, dataset: Any = None) -> tuple[Subset[Any], Subset[Any]]:
        """Return the torch `Subset`s to train on and to test on.

            train, test = td.split(dataset, "label", found.tasks).train_test(dataset)

        Images that are held out within the train side are in neither: `subsets` has them, too.

        Args:
            dataset: as of `subsets`; errors, too.
        """
        found = self.subsets(dataset)
        return found["train"], found["test"]

    def cv(self) -> list[tuple[IntArray, IntArray]]:
        """Return the split as scikit-learn's `cv=` takes it: one pair of train and test rows.

        Images that are held out within the train side, or have no role, are in neither.

        Returns:
            [(train, test)]: int64 positions in the data set, in rising order.
        """
        train, test = (self.indices(role).astype(np.int64) for role in (TRAIN, TEST))
        return [(train, test)]

    def predefined_split(self) -> PredefinedSplit:
        """Return scikit-learn's `PredefinedSplit` whose one test fold is the test side.

        Raises:
            DataError: where an image is neither trained nor tested on: `PredefinedSplit` would
                train on it.
        """
        from sklearn.model_selection import PredefinedSplit

        idle = int((~np.isin(self.role_N, (TRAIN, TEST))).sum())
        if idle:
            raise DataError(
                f"{idle} of {len(self.role_N)} images are neither trained nor tested on, and "
                "PredefinedSplit would train on them",
                where="predefined_split",
                hint="give scikit-learn cv=split.cv(), which leaves them out",
            )
        return PredefinedSplit(np.where(self.role_N == TEST, 0, -1))

    def to_frame(self) -> pd.DataFrame:
        """Return `img_filename, y, split, place` for the images that have a role.

        The columns are those of Waterbirds' `metadata.csv`: `split` is the role, `place` the class
        of the task that the data was cut along.
        """
        import pandas as pd

        kept = self.role_N >= 0
        return pd.DataFrame(
            {
                "img_filename": self.ids_N[kept],
                "y": self.target.labels_N[kept],
                "split": self.role_N[kept].astype(np.int64),
                "place": self.task.labels_N[kept],
            }
        )

    @property
    def numbers(self) -> Document:
        """The headline numbers, as in `result.json`."""
        there = self.random_there
        return {
            "target": self.target.name,
            "classes": list(self.target.classes),
            "task": self.task.name,
            **self.setup.to_json(),
            "sizes": self.sizes,
            "measured": self.measured,
            "accuracy": _to_json(self.accuracy),
            "details": {name: detail.to_json() for name, detail in self.details.items()},
            "random_on_test_side": None if there is None else there.to_json(),
            "where_runs_agree": self.agreed,
            "transfer": {learner: _to_json(found) for learner, found in self.transfer.items()},
            **self.copies.to_json(),
            "sides": [dict(row) for row in self.sides],
        }

    @classmethod
    def from_numbers(
        cls, numbers: Mapping[str, Any], target: Labeling, task: Labeling, role: NDArray[np.int8]
    ) -> Split:
        """Make a split again from its headline numbers and its labelings.

        Raises:
            KeyError, TypeError: where the numbers are not those of a split.
        """
        details, there = numbers.get("details", {}), numbers.get("random_on_test_side")
        return cls(
            target=target,
            task=task,
            role_N=role,
            setup=Setup.from_json(numbers),
            accuracy=_from_json(numbers["accuracy"]),
            measured={str(k): int(v) for k, v in numbers["measured"].items()},
            agreed={str(k): dict(v) for k, v in numbers["where_runs_agree"].items()},
            transfer={str(k): _from_json(v) for k, v in numbers["transfer"].items()},
            details={str(k): Detail.from_json(v) for k, v in details.items()},
            random_there=None if there is None else Interval(**there),
            copies=Copies.from_json(numbers),
            sides=tuple(dict(row) for row in numbers.get("sides", ())),
        )

    def accuracy_table(self) -> list[Document]:
        """Return a row for each figure: `figure`, `accuracy`, `low`, `high`, `covers` (what the
        interval is over), `balanced` accuracy, `worst class` and `worst group` with theirs, the
        `majority` baseline, and the accuracy of each of the `runs`.

        Figures of other learners follow as "mlp: random". What was not kept is None.
        """
        return detail.table(self._figures, self.details)

    def accuracy_frame(self) -> pd.DataFrame:
        """Return `accuracy_table` as a frame: each run in a column of its own (`run_0`, …), and a
        row for each class and each group of a figure (column `part`; "all" for the whole).
        """
        import pandas as pd

        return pd.DataFrame(detail.long_table(self._figures, self.details))

    @property
    def _figures(self) -> Accuracies:
        figures = dict(self.accuracy)
        for learner, found in self.transfer.items():
            figures |= {f"{learner}: {name}": interval for name, interval in found.items()}
        return figures

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the accuracy on the test side (red), within the train side (green) and of every
        control (grey), with intervals; those of other learners below.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: where matplotlib is not installed.
        """
        from taskdiscovery.plots import Row, draw_ranges

        kinds = {"adversarial": "bad", "within": "good"}
        rows = [
            Row(
                name=name,
                mean=own.mean,
                low=own.low,
                high=own.high,
                kind=kinds.get(name.rpartition(": ")[2], "random"),
            )
            for name, own in self._figures.items()
        ]
        title = f"{self.target.name}, split along {self.task.name}"
        label = f"accuracy of {self.setup.learner}"
        return draw_ranges(rows, label=label, title=title, limits=(0.0, 1.02), ax=ax)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.sizes.items())
        broken = self.accuracy.get("adversarial")
        found = f", accuracy {broken.mean:.3f}" if broken is not None else ""
        return f"<Split of {self.target.name} along {self.task.name}: {sizes}{found}>"

    def _repr_html_(self) -> str:
        rows = self.accuracy_table()
        sizes = ", ".join(f"{count:,} {name}" for name, count in self.sizes.items())
        caption = f"accuracy on {self.target.name}, split along {self.task.name} ({sizes})"
        text = display.table(caption, rows)
        if self.images is None:
            return text
        y_N, names = self.target.labels_N, self.target.classes
        sides: list[Document] = []
        for c in sorted(set(y_N[self.role_N >= 0].tolist()))[:10]:
            row: Document = {"class": names[c] if c < len(names) else f"class {c}"}
            for side, roles in (("trained on", (TRAIN, WITHIN)), ("tested on", (TEST,))):
                own = np.flatnonzero((y_N == c) & np.isin(self.role_N, roles))
                row[side] = display.Pictures(self.images[own[: display.SHOWN]])
            sides.append(row)
        return text + display.table("train and test images by class", sides)


def _to_json(accuracy: Accuracies) -> dict[str, dict[str, float | str]]:
    return {name: interval.to_json() for name, interval in accuracy.items()}


def _from_json(accuracy: Mapping[str, Any]) -> Accuracies:
    return {str(name): Interval(**found) for name, found in accuracy.items()}
