"""What people have in hand as labels, as a `Labeling` of a data set.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.labels.labelings import (
    checked,
    labeling_of,
    labelings_of_frame,
    read_labelings,
    split_file_column,
)
from taskdiscovery.data.labels.matching import check_count, rows_by_id
from taskdiscovery.data.labels.rows import counts_rows, rows_of
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, IntArray, Labeling
from taskdiscovery.types.classes import column_of

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
        return aligned([value], dataset)[0]
    if hasattr(value, "columns") and hasattr(value, "iloc"):
        if len(found := labelings_of_frame(dataset, value)) != 1:
            raise DataError(
                f"a frame of {len(found)} columns of labels is given for one labeling",
                where=name,
                hint=f"give one of them, e.g. frame[{found[0].name!r}]"
                if found
                else "give a column",
            )
        return found[0]
    if hasattr(value, "index") and hasattr(value, "to_numpy"):
        return _from_series(value, dataset, name)
    values = column_of(value)
    if values.ndim != 1:
        raise DataError(
            f"labels have shape {values.shape}",
            where=name,
            hint="give one value per image; several labelings as a list",
        )
    check_count(len(values), dataset, "labels", name)
    return checked(Labeling.from_values(name, values, dataset.ids, dataset.missing))


def check_classes(labeling: Labeling) -> Labeling:
    """Return a labeling whose classes can be learnt.

    Raises:
        DataError: where it has more classes than half of the images that have one.
    """
    known = labeling.labels_N[labeling.known_N]
    if 2 * (classes := len(np.unique(known))) > max(len(known), 4):
        raise DataError(
            f"{labeling.name} has {classes} classes on {len(known)} images",
            where=labeling.name,
            hint="give more images of each class, or group the classes; discover needs none",
        )
    return labeling


def aligned(labelings: Sequence[Labeling], dataset: Dataset) -> list[Labeling]:
    """Return labelings in the order of a data set's images; -1 for images that they lack.

    Raises:
        DataError: where no id matches.
    """
    rows: dict[int, IntArray | None] = {}  # labelings of one discovery share their ids
    for labeling in labelings:
        if id(labeling.ids_N) not in rows:
            same = np.array_equal(labeling.ids_N, dataset.ids)
            rows[id(labeling.ids_N)] = (
                None if same else rows_by_id(labeling.ids_N, dataset, labeling.name)
            )
    return [_aligned(labeling, rows[id(labeling.ids_N)], dataset) for labeling in labelings]


def _aligned(labeling: Labeling, rows_N: IntArray | None, dataset: Dataset) -> Labeling:
    if rows_N is None:
        return labeling
    missing = rows_N < 0
    coordinates, seen = labeling.coordinates_NC, labeling.seen_N
    return Labeling(
        name=labeling.name,
        classes=labeling.classes,
        labels_N=np.where(missing, -1, labeling.labels_N[rows_N]),
        ids_N=dataset.ids,
        coordinates_NC=None if coordinates is None or missing.any() else coordinates[rows_N],
        # What is not known to be unseen may have been seen.
        seen_N=None if seen is None else seen[rows_N] | missing,
    )


def _from_series(series: pd.Series, dataset: Dataset, name: str) -> Labeling:
    name = name if series.name is None else str(series.name)
    frame = series.rename("value").to_frame()
    rows, _ = rows_of(frame, dataset, name, from_file=not counts_rows(series.index))
    return checked(labeling_of(name, series, rows, dataset))
