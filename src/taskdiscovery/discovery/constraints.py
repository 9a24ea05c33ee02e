"""What tasks must be free of, and within which classes they are searched for.

Axes: N training images, D coordinates, E columns to be excluded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from taskdiscovery.data.statistics import GROUPS, image_statistics
from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.subspace import Whitened
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import Dataset, Float32, FloatArray, IntArray, Matrix, class_codes

#: an excluded attribute gets a column for each value.
_VALUES = 1000


@dataclass(frozen=True, eq=False, kw_only=True)
class Constraints:
    """What the coordinates must be free of, and where they are whitened.

    Attributes:
        excluded: (N, E) columns to be projected out, or None.
        groups: (N,) classes within which to whiten, or None.
    """

    excluded: FloatArray | None = None
    groups: IntArray | None = None

    @classmethod
    def of(
        cls, dataset: Dataset, rows: IntArray, excluded: pd.DataFrame | None, within: str
    ) -> Constraints:
        """Make the constraints of training images.

        Args:
            dataset: all images.
            rows: the training images among them.
            excluded: columns for all images, as `excluded_columns` returns them.
            within: target SPEC of the classes to search within; empty for none.
        """
        groups = dataset.target(within).labels_N[rows] if within else None
        columns = None if excluded is None else excluded.to_numpy()[rows]
        return cls(excluded=columns, groups=groups)

    def of_rows(self, places_n: IntArray) -> Constraints:
        """Return the constraints of some of the rows, in the order given."""
        return Constraints(
            excluded=None if self.excluded is None else self.excluded[places_n],
            groups=None if self.groups is None else self.groups[places_n],
        )

    def apply(self, coordinates_ND: Matrix) -> Whitened:
        """Project out, then whiten (within groups)."""
        if self.excluded is not None:
            coordinates_ND = subspace.project_out(coordinates_ND, self.excluded)
        if self.groups is not None:
            return subspace.whiten_within(coordinates_ND, self.groups)
        return subspace.whiten(coordinates_ND)


def left_over(
    coordinates: Float32, excluded: pd.DataFrame | None, rows: IntArray
) -> dict[str, dict[str, float]]:
    """How much of the coordinates' variance the excluded columns explain on these images."""
    if excluded is None:
        return {}
    explained = subspace.explained(coordinates[rows].astype(np.float64), excluded.to_numpy()[rows])
    return {
        "explained_on_test": {
            "mean": round(float(explained.mean()), 4),
            "max": round(float(explained.max()), 4),
        }
    }


def excluded_columns(dataset: Dataset, words: Sequence[str]) -> pd.DataFrame | None:
    """Return (N, E) columns of what is to be excluded, or None for nothing.

    Args:
        dataset: whose labels, attributes and images they are.
        words: of `label` (one column per class), `attributes` (all of them), `attr:COLUMN`,
            `brightness`, `colour`, `contrast`, `saturation`. Numbers are standardized, and 0 where
            missing; other attributes get one column per value, missing ones a column of their own.

    Raises:
        ConfigError: for an unknown word.
        DataError: where the data has no labels or attributes, or more than 1,000 values of one.
    """
    if not words:
        return None
    attributes = dataset.attributes
    parts: list[pd.DataFrame] = []
    statistics: pd.DataFrame | None = None
    for word in words:
        if word == "label":
            target = dataset.target("label")
            parts.append(_one_hot("label", target.labels_N, target.k))
        elif word == "attributes" or word.startswith("attr:"):
            if attributes is None:
                raise DataError(
                    "the data has no attributes", where=dataset.name, hint="leave it out"
                )
            names = list(attributes.columns) if word == "attributes" else [word[5:]]
            for name in names:
                if name not in attributes.columns:
                    raise ConfigError(
                        f"no attribute {name!r}",
                        where="--exclude",
                        hint=nearest(name, map(str, attributes.columns)),
                    )
                parts.append(_attribute(attributes[name]))
        elif word in GROUPS:
            statistics = image_statistics(dataset.images) if statistics is None else statistics
            chosen = statistics[list(GROUPS[word])]
            parts.append((chosen - chosen.mean()) / chosen.std().replace(0, 1))
        else:
            raise ConfigError(
                f"cannot exclude {word!r}",
                where="--exclude",
                hint=nearest(word, ["label", "attributes", "attr:COLUMN", *GROUPS]),
            )
    return pd.concat(parts, axis=1)


def _attribute(column: pd.Series) -> pd.DataFrame:
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        values = column.astype(np.float64)
        spread = float(values.std()) or 1.0
        return ((values - values.mean()) / spread).fillna(0.0).to_frame()
    codes, classes = class_codes(f"attr:{column.name}", column)
    return _one_hot(str(column.name), codes, len(classes))


def _one_hot(name: str, codes: IntArray, classes: int) -> pd.DataFrame:
    if classes > _VALUES:
        raise DataError(
            f"{name} has {classes:,} different values, which cannot be excluded one by one",
            where="--exclude",
            hint="cut it into bins, or leave it out",
        )
    # One class is left to the intercept, so that the columns stay independent.
    columns = {f"{name}={c}": (codes == c).astype(np.float64) for c in range(1, classes)}
    if (codes < 0).any():
        columns[f"{name} missing"] = (codes < 0).astype(np.float64)
    return pd.DataFrame(columns)
