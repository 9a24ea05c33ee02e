"""A train-test split, and the forms in which other tools read it.

Axes: N images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery import notebook
from taskdiscovery.errors import DataError
from taskdiscovery.types.aliases import IdArray, ImageArray, IntArray
from taskdiscovery.types.scores import Interval

if TYPE_CHECKING:
    import pandas as pd


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
