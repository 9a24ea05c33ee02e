"""What the columns of data mean: labels and attributes.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.types import BoolArray, IntArray, class_codes
from taskdiscovery.types.classes import distinct_values, value_name

if TYPE_CHECKING:
    import pandas as pd


def label_codes(
    values: Any, names: Sequence[str] = (), *, where: str
) -> tuple[IntArray | None, tuple[str, ...]]:
    """Turn a label column into class indices; -1 where an image has no label.

    Args:
        values: (N,) whole numbers that index `names`, where -1 stands for no label; or values of
            any kind that are classes themselves.
        names: class names, or empty.
        where: for the error.

    Returns:
        (N,) indices and class names; None and no names where no image has a label.

    Raises:
        DataError: for an index without a name, or cells that hold several values.
    """
    codes, classes = class_codes(where, values)
    if names:
        distinct, places = distinct_values(where, values)
        indices = _indices(distinct, names, where)
        if indices is not None:
            codes, classes = indices[places], tuple(names)
    if not (codes >= 0).any():
        return None, ()
    return codes, classes


def _indices(distinct: Sequence[Any], names: Sequence[str], where: str) -> IntArray | None:
    """Return the class index of each distinct value; None where they are classes of their own.

    Raises:
        DataError: for numbers that index no name.
    """
    words = [value_name(value) for value in distinct]
    if any(isinstance(value, str | bytes) for value in distinct):
        if any(word not in names for word in words if word is not None):
            return None
        return np.array([-1 if w is None else list(names).index(w) for w in words], np.int64)
    try:
        numbers = [-1.0 if w is None else float(v) for v, w in zip(distinct, words, strict=True)]
    except (TypeError, ValueError):  # dates
        return None
    outside = [n for n in numbers if not (-1 <= n < len(names) and n == int(n))]
    if outside:
        raise DataError(
            f"labels such as {outside[0]:g} index none of {len(names)} class names",
            where=where,
            hint="correct the labels or the class names; -1 stands for no label",
        )
    return np.array(numbers, dtype=np.int64)


def labels_kept(
    labels: IntArray | None, classes: tuple[str, ...], kept: BoolArray
) -> tuple[IntArray | None, tuple[str, ...]]:
    """Return the labels of the images that are kept, and the classes.

    Classes that have lost all their images are left out; names that never had one stay.

    Args:
        labels: (N,) class indices, or None.
        classes: their names.
        kept: (N,) which images are left.
    """
    if labels is None or kept.all():
        return labels, classes
    left = labels[kept]
    if not (left >= 0).any():
        return None, ()
    lost = np.setdiff1d(labels[labels >= 0], left)
    stay = ~np.isin(np.arange(len(classes)), lost)
    number = np.append(np.where(stay, np.cumsum(stay) - 1, -1), -1).astype(np.int64)
    return number[left], tuple(name for c, name in enumerate(classes) if stay[c])


@dataclass(frozen=True, eq=False, kw_only=True)
class Columns:
    """Labels and attributes of images.

    Attributes:
        labels, classes, attributes: as in `Dataset`.
        problems: what was found worth telling.
    """

    labels: IntArray | None
    classes: tuple[str, ...]
    attributes: pd.DataFrame | None
    problems: tuple[str, ...] = ()


def columns_of(
    frame: pd.DataFrame, label: str | None, names: Sequence[str] = (), *, where: str
) -> Columns:
    """Read labels and attributes from a table with a row for each image.

    Args:
        frame: of attributes, and of labels.
        label: its column of labels, or None.
        names: class names that whole numbers index, or empty.
        where: for the error.

    Raises:
        DataError: as `label_codes`.
    """
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    if label is not None:
        labels, classes = label_codes(frame[label], names, where=f"{where}, column {label}")
        frame = frame.drop(columns=[label])
        if labels is None:
            problems = (f"no image has a label in column {label}",)
    attributes = frame if len(frame.columns) else None
    return Columns(labels=labels, classes=classes, attributes=attributes, problems=problems)
