"""The labelings that people gave to images: what discovered tasks stand beside, and `all` of them.

Axes: N images, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, Labeling

#: the target SPEC that names all of them.
ALL = "all"
#: text of more different values is names, numbers of more are a quantity: no labeling either way.
LEVELS, NUMBERS = 30, 10


def human_labelings(dataset: Dataset) -> list[Labeling]:
    """Return every labeling of a data set that people gave: its labels, then its attributes.

    Returns:
        `label`; half of its classes against the others, where there are more than two; each
        attribute of 2 to 30 values (numbers: 2 to 10), the most balanced first.

    Raises:
        DataError: where there is none.
    """
    found: list[Labeling] = []
    half = dataset.half_of_classes()
    if half is not None:
        assert dataset.labels is not None
        found.append(dataset.target("label"))
        if len(np.unique(dataset.labels[dataset.labels >= 0])) > 2:
            found.append(dataset.target(half))
    found += attributes_of(dataset)
    if not found:
        raise DataError(
            "there are neither labels nor attributes of 2 to 30 values",
            where=f"{dataset.name}, --target {ALL}",
            hint="give labels with the data, or name FILE:COLUMN",
        )
    return found


def human_references(
    dataset: Dataset, labelings: Iterable[Labeling], at_most: int
) -> list[Labeling]:
    """Return human labelings to compare discovered tasks with.

    Args:
        dataset: the images.
        labelings: what is scored already; it is not named again.
        at_most: how many: half of the classes against the others first, then attributes, the most
            balanced first.
    """
    half = dataset.half_of_classes()
    labelings = list(labelings)
    known = {labeling.name for labeling in labelings}
    found = [] if half is None else [dataset.target(half)]
    if at_most > len(found):
        found += attributes_of(dataset, max((own.k for own in labelings), default=2))
    return [labeling for labeling in found if labeling.name not in known][:at_most]


def attributes_of(dataset: Dataset, classes: int = 2) -> list[Labeling]:
    """Return a labeling for each attribute that has few values.

    Args:
        dataset: the images.
        classes: of the tasks that they stand beside. Attributes come first whose greatest class is
            nearest to that of a balanced task: rates decide what agreement is worth.
    """
    if dataset.attributes is None:
        return []
    found = []
    for column, name in enumerate(map(str, dataset.attributes.columns)):
        values = dataset.attributes.iloc[:, column]
        numbers = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        most = min(NUMBERS if numbers else LEVELS, values.count() // 2)
        if 2 <= values.nunique() <= most:
            made = Labeling.from_values(f"attr:{name}", values, dataset.ids, dataset.missing)
            found.append(made)
    # Of two values one may be a word for a missing one.
    kept = [own for own in found if _greatest(own) < 1]
    return sorted(kept, key=lambda own: abs(_greatest(own) - 1 / classes))


def _greatest(labeling: Labeling) -> float:
    """Return the share of the greatest class."""
    counts_C = np.bincount(labeling.labels_N[labeling.known_N])
    return float(counts_C.max() / counts_C.sum())
