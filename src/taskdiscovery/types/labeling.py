"""One class for each image: the type of human targets, discovered tasks and references alike.

Axes: N images, C coordinates (k - 1 for k classes).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import DataError
from taskdiscovery.types import display
from taskdiscovery.types.aliases import BoolArray, Float32, IdArray, IntArray
from taskdiscovery.types.classes import class_codes

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Labeling:
    """A labeling of images, with as many classes as it has names for.

    Attributes:
        name: what tables and messages call it.
        classes: class names, in index order.
        labels_N: (N,) class indices; -1 where the value is missing.
        ids_N: (N,) image ids.
        coordinates_NC: (N, k - 1) continuous coordinates that the classes were cut from (a binary
            one is the sign of its only coordinate), or None.
        seen_N: (N,) True where the discovery of this labeling may have seen the image, or None
            where nothing was discovered. Such images are never measured on.

    Raises:
        DataError: where ids, labels and coordinates differ in number.
    """

    name: str
    classes: tuple[str, ...]
    labels_N: IntArray
    ids_N: IdArray
    coordinates_NC: Float32 | None = field(default=None, repr=False)
    seen_N: BoolArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for what, column in (
            ("ids", self.ids_N),
            ("coordinates", self.coordinates_NC),
            ("marks of what discovery has seen", self.seen_N),
        ):
            if column is not None and len(column) != len(self.labels_N):
                raise DataError(
                    f"{len(column)} {what} for {len(self.labels_N)} labels",
                    where=self.name,
                    hint="give one of each per image",
                )

    @classmethod
    def from_values(
        cls, name: str, values: Any, ids: IdArray, missing: Collection[str] = ()
    ) -> Labeling:
        """Make a labeling with one class per different value, in sorted order; missing ones are -1.

        Args:
            name: what tables and messages call it.
            values: (N,) of any kind, as `class_codes` takes them.
            ids: (N,) image ids.
            missing: texts that stand for a missing value.

        Raises:
            DataError: for cells that hold several values, or another number of ids.
        """
        codes, classes = class_codes(name, values, missing)
        return cls(name=name, classes=classes, labels_N=codes, ids_N=ids)

    def __len__(self) -> int:
        return len(self.labels_N)

    def __repr__(self) -> str:
        names = ", ".join(self.classes[:4]) + (", …" if self.k > 4 else "")
        missing = int((~self.known_N).sum())
        text = f"<Labeling {self.name} of {len(self):,} images, {self.k} classes: {names}"
        return f"{text}; {missing:,} without>" if missing else f"{text}>"

    def _repr_html_(self) -> str:
        counts = np.bincount(self.labels_N[self.known_N], minlength=self.k).tolist()
        pairs = zip(self.classes[:20], counts, strict=False)
        rows = [{"class": name, "images": count} for name, count in pairs]
        return display.table(f"{self.name}: {self.k} classes of {len(self):,} images", rows)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(self.labels_N, dtype=dtype, copy=copy is not False)

    @property
    def known_N(self) -> BoolArray:
        """(N,) True where the image has a class."""
        return self.labels_N >= 0

    @property
    def k(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def to_series(self) -> pd.Series:
        """Return the class names by image id; None where the class is missing."""
        import pandas as pd

        names = np.array([*self.classes, None], dtype=object)
        return pd.Series(
            names[self.labels_N], index=pd.Index(self.ids_N, dtype=str), name=self.name
        )
