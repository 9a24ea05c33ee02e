"""Partitions that came with the data, as a column: who may be seen, and who is measured on.

Forms: words (`train`, `val`, `test` and their kin), the integers 0, 1, 2 of WILDS, Waterbirds and
CelebA (train, validation, test), and yes or no in a column whose name says of what.

Axes: N images.
"""

from __future__ import annotations

import logging

import numpy as np

from taskdiscovery.data.grouping import column_name
from taskdiscovery.data.readers.shards import PARTS
from taskdiscovery.errors import DataError
from taskdiscovery.types import BoolArray, Dataset
from taskdiscovery.types.classes import class_codes

_LOG = logging.getLogger("taskdiscovery")

_UNDERSTOOD = (
    "words (train, val, test), integers (0 train, 1 validation, 2 test), or yes and no in a column "
    "whose name has `test` or `train` in it"
)
_INTEGERS = {"0": "train", "1": "validation", "2": "test"}
_YES, _NO = ("1", "true", "yes"), ("0", "false", "no")


def train_of_column(dataset: Dataset, text: str) -> BoolArray:
    """Return (N,) True for images that may be seen, by what a column says.

    Images of a validation part may be seen; where there is no other part beside `train`, it is
    what is measured on, as in ImageNet.

    Raises:
        ConfigError: for a column that there is not.
        DataError: for values that are none of the known forms, missing ones, or one part alone.
    """
    name = column_name(dataset, text, "--test")
    assert dataset.attributes is not None
    codes_N, values = class_codes(name, dataset.attributes[name], dataset.missing)
    where = f"--test {text}"
    if missing := int((codes_N < 0).sum()):
        raise DataError(
            f"{missing} of {len(codes_N)} images have no value in {name}",
            where=where,
            hint="say of every image whether it is train or test",
        )
    parts = _parts(name, values)
    if parts is None:
        raise DataError(
            f"the values of {name} do not say what is train and what is test: "
            f"{', '.join(values[:5])}{', …' if len(values) > 5 else ''}",
            where=where,
            hint=f"understood are {_UNDERSTOOD}",
        )
    measured = "test" if "test" in parts else "validation"
    train_N: BoolArray = np.array([part != measured for part in parts], dtype=np.bool_)[codes_N]
    if measured not in parts or len(set(parts)) < 2:
        raise DataError(
            f"{name} has one part alone: {', '.join(values)}",
            where=where,
            hint="give a column with images to train on and images to measure on",
        )
    if measured == "validation":
        _LOG.warning("%s: %s has no test part: its validation part is measured on", where, name)
    return train_N


def _parts(name: str, values: tuple[str, ...]) -> list[str] | None:
    """Return which part each value means; None where it is not understood."""
    words = [value.strip().lower() for value in values]
    if all(word in PARTS for word in words):
        return [PARTS[word] for word in words]
    if all(word in (*_YES, *_NO) for word in words):
        lowered = name.lower()
        about = [word for word in ("test", "train") if word in lowered]
        if len(about) == 1:
            other = "train" if about[0] == "test" else "test"
            return [about[0] if word in _YES else other for word in words]
    # 0 and 1 alone could be train and validation, or train and test.
    if set(words) <= set(_INTEGERS) and "2" in words:
        return [_INTEGERS[word] for word in words]
    return None
