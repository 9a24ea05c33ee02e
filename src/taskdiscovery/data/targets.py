"""What people have in hand as labels, as a `Labeling` of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.labelings import read_labelings, split_file_column
from taskdiscovery.data.matching import check_count, rows_by_id
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, Labeling

if TYPE_CHECKING:
    import pandas as pd


def is_target_spec(text: str) -> bool:
    """Say whether a text names a labeling of the data itself: `label…` or `attr:…`."""
    return text.partition(":")[0] in ("label", "attr")


def target_of(dataset: Dataset, value: Any, name: str = "target") -> Labeling:
    """Make a labeling of a data set.

    Args:
        dataset: the images.
        value: a target SPEC (`label`, `label:0,1`, `attr:COLUMN`, `FILE:COLUMN`); a `Labeling`; a
            pandas Series, matched by its index where that has image ids, else by order; an array,
            tensor or list with one value per image, in their order.
        name: what to call values that have no name of their own.

    Raises:
        ConfigError: for a SPEC that cannot be understood.
        DataError: for another number of values, ids that do not match, or only one class.
    """
    if isinstance(value, str):
        if is_target_spec(value) or ":" not in value:
            return dataset.target(value)
        path, column = split_file_column(value)
        return read_labelings(path, dataset, [column])[0]
    if isinstance(value, Labeling):
        return aligned(value, dataset)
    if hasattr(value, "index") and hasattr(value, "to_numpy"):
        return _from_series(value, dataset, name)
    values = np.asarray(value)
    if values.ndim != 1:
        raise DataError(
            f"labels have shape {values.shape}",
            where=name,
            hint="give one value per image; several labelings as a list",
        )
    check_count(len(values), dataset, "labels", name)
    return _checked(Labeling.from_values(name, values.tolist(), dataset.ids))


def aligned(labeling: Labeling, dataset: Dataset) -> Labeling:
    """Return a labeling in the order of a data set's images; -1 for images that it lacks.

    Raises:
        DataError: where no id matches.
    """
    if np.array_equal(labeling.ids_N, dataset.ids):
        return labeling
    rows = rows_by_id(labeling.ids_N, dataset, labeling.name)  # type: ignore[arg-type]
    missing = rows < 0
    coordinates, seen = labeling.coordinates_NC, labeling.seen_N
    return Labeling(
        name=labeling.name,
        classes=labeling.classes,
        labels_N=np.where(missing, -1, labeling.labels_N[rows]),
        ids_N=dataset.ids,
        coordinates_NC=None if coordinates is None or missing.any() else coordinates[rows],
        # What is not known to be unseen may have been seen.
        seen_N=None if seen is None else seen[rows] | missing,
    )


def labelings_of_frame(dataset: Dataset, frame: pd.DataFrame) -> list[Labeling]:
    """Return one labeling per column of a frame, matched as a Series is."""
    return [_from_series(frame[column], dataset, str(column)) for column in frame.columns]


def _from_series(series: pd.Series, dataset: Dataset, name: str) -> Labeling:
    name = name if series.name is None else str(series.name)
    values: Sequence[object] = series.tolist()
    known = np.isin(np.array([str(i) for i in series.index]), dataset.ids)
    by_order = not known.any() and len(values) == len(dataset)
    if by_order and np.issubdtype(np.asarray(series.index).dtype, np.integer):
        return _checked(Labeling.from_values(name, values, dataset.ids))
    rows = rows_by_id(series.index.tolist(), dataset, f"{name}, index")
    matched = [None if row < 0 else values[row] for row in rows]
    return _checked(Labeling.from_values(name, matched, dataset.ids))


def _checked(labeling: Labeling) -> Labeling:
    if len(np.unique(labeling.labels_N[labeling.known_N])) < 2:
        raise DataError(
            f"{labeling.name} gives every image the same class",
            where=labeling.name,
            hint="choose labels with at least two classes among these images",
        )
    return labeling
