"""Values that are missing: what stands for them, and what of it is worth telling.

Axes: N images.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from taskdiscovery.data.listing import Listing
from taskdiscovery.data.readers.arrays import fingerprint
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset
from taskdiscovery.types.classes import (
    NO_VALUE,
    all_numbers,
    distinct_values,
    value_name,
    without_empty,
)

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T", Listing, Dataset)

_LOG = logging.getLogger("taskdiscovery")


def without_words(found: T, words: Collection[str]) -> T:
    """Take texts for missing values, in labels and attributes.

    Args:
        found: images with what is known of them.
        words: the texts.
    """
    if not words:
        return found
    if found.attributes is not None:
        found = replace(found, attributes=found.attributes.apply(_masked, words=words))
    if found.labels is None or not set(words) & set(found.classes):
        return found
    named = np.array([name in words for name in found.classes], dtype=np.bool_)
    labels = np.where(np.append(named, False)[found.labels], -1, found.labels)
    labels, classes = without_empty(labels, found.classes)
    if isinstance(found, Dataset):
        found = replace(found, fingerprint=fingerprint(found.fingerprint, (), labels))
    return replace(found, labels=labels if classes else None, classes=classes)


def with_problems(found: T) -> T:
    """Add to the problems what is worth telling of labels and attributes, and warn of it."""
    problems: tuple[str, ...] = tuple(_problems(found))
    for problem in problems:
        _LOG.warning("%s: %s", found.name, problem)
    return replace(found, problems=(*found.problems, *problems))


def _problems(found: Listing | Dataset) -> Iterator[str]:
    N = len(found.ids)
    if found.labels is not None:
        counts = np.bincount(found.labels[found.labels >= 0], minlength=len(found.classes))
        yield from _no_values("label", dict(zip(found.classes, counts.tolist(), strict=True)))
        if missing := int((found.labels < 0).sum()):
            yield f"{missing} of {N} images have no label"
    if found.attributes is None:
        return
    for column, values in found.attributes.items():
        if values.dtype.kind not in "iufbM":
            with contextlib.suppress(TypeError):  # of lists
                texts = {str(k): int(v) for k, v in values.value_counts(dropna=True).items()}
                yield from _no_values(f"attribute {column}", texts)


def _masked(column: pd.Series, words: Collection[str]) -> pd.Series:
    try:
        distinct, places = distinct_values(str(column.name), column)
    except DataError:  # of lists
        return column
    named = np.array([value_name(value) in words for value in distinct], dtype=np.bool_)
    return column.mask(named[places]) if named.any() else column


def _no_values(what: str, counts: dict[str, int]) -> Iterator[str]:
    """Yield a line for each text that often stands for no value, but is a class here."""
    if all_numbers(name for name, count in counts.items() if count and name not in NO_VALUE):
        return
    for name in sorted(NO_VALUE & set(counts)):
        if counts[name]:
            cells = "1 cell is" if counts[name] == 1 else f"{counts[name]} cells are"
            yield (
                f"{what}: {cells} the text {name}, read as a class; "
                f"--missing {name} if it is not one"
            )
