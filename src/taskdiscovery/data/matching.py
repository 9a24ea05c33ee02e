"""Which row of a table belongs to which image: by id, in one way for labels, tasks and features.

Axes: N images.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, IntArray

_LOG = logging.getLogger("taskdiscovery")


def rows_by_id(given: Sequence[object], dataset: Dataset, where: str) -> IntArray:
    """Return (N,) the position of each image's id among those given; -1 where it is missing.

    Args:
        given: ids, in any order.
        dataset: the images.
        where: for the error.

    Raises:
        DataError: where an id occurs twice, or none is an image's.
    """
    ids = np.array([str(value) for value in given], dtype=np.str_)
    if not len(ids):
        raise DataError("the table has no rows", where=where, hint="give a row per image")
    unique, first = np.unique(ids, return_index=True)
    if len(unique) != len(ids):
        raise DataError(
            f"{len(ids) - len(unique)} ids occur more than once",
            where=where,
            hint="give each image one row",
        )
    own = dataset.ids.astype(np.str_)
    at = np.minimum(np.searchsorted(unique, own), len(unique) - 1)
    rows = np.where(unique[at] == own, first[at], -1).astype(np.int64)
    found = int((rows >= 0).sum())
    if not found:
        raise DataError(
            f"no id matches an image, e.g. {str(ids[0])!r} against {str(own[0])!r}",
            where=where,
            hint="use the image ids that `info` shows",
        )
    if found < len(own):
        _LOG.info("%s: %d of %d images have a row", where, found, len(own))
    return rows


def check_count(count: int, dataset: Dataset, what: str, where: str) -> None:
    """Refuse values in the order of the images that are fewer or more than these.

    Raises:
        DataError: naming both counts.
    """
    if count != len(dataset):
        raise DataError(
            f"{count} {what} for {len(dataset)} images",
            where=where,
            hint=f"give one of the {what} per image, or name the images by id",
        )
