"""One class for each image: the type of human targets, discovered tasks and references alike.

Axes: N images, C coordinates (k - 1 for k classes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import DataError
from taskdiscovery.types.aliases import BoolArray, Float32, IdArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
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
    def from_values(cls, name: str, values: Sequence[object], ids: IdArray) -> Labeling:
        """Make a labeling with one class per different value, in sorted order; missing ones are -1.

        Raises:
            DataError: where there are more than 1,000 different values, or another number of ids.
        """
        codes, classes = class_codes(name, values)
        return cls(name=name, classes=classes, labels_N=codes, ids_N=ids)

    def __len__(self) -> int:
        return len(self.labels_N)

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


def class_codes(name: str, values: Sequence[object]) -> tuple[IntArray, tuple[str, ...]]:
    """Turn a column of values into class indices, in sorted order; missing values become -1.

    Args:
        name: of the column, for the error.
        values: (N,) of any kind.

    Returns:
        (N,) indices, and the names of the classes.

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
            hint="a target needs at most 1,000 classes; cut the column into bins first",
        )
    rank = np.full(len(uniques) + 1, -1, dtype=np.int64)
    rank[np.array(order, dtype=np.int64)] = np.arange(len(uniques))
    return rank[np.asarray(codes, dtype=np.int64)], tuple(str(uniques[i]) for i in order)


def _sort_key(value: object) -> tuple[int, float, str]:
    if isinstance(value, int | float | np.number):
        return (0, float(value), "")
    return (1, 0.0, str(value))
