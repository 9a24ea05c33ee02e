"""What belongs together: groups named by a column, or given as values.

Axes: N images.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from typing import Any

import numpy as np

from taskdiscovery.data.labels.targets import target_of
from taskdiscovery.data.partition import codes
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.types import Dataset, IdArray

_LOG = logging.getLogger("taskdiscovery")

#: how a column is named where a text could be something else, too.
ATTRIBUTE = "attr:"
#: what ids have before their last number, as groups.
IDS = "ids"
_STEM = re.compile(
    r"(?P<stem>.*?)[ _.\-]*(?:frame|img|image|shot|pic|f|s)?[ _.\-]*(?P<number>\d+)", re.I
)


def grouped(dataset: Dataset, groups: Any) -> Dataset:
    """Return a data set that knows what belongs together.

    Args:
        dataset: the images.
        groups: the name of an attribute (`patient`, `attr:patient`); `label`; `ids`, what ids have
            before their last number (`patient12` of `patient12_003.png`); a Series by image id, an
            array or a list with a value per image. An image without a value is one by itself.
            Nothing for those that the data set has.

    Raises:
        ConfigError: for a column that there is not.
        DataError: for another number of values, or one group alone.
    """
    if groups is None or (isinstance(groups, str) and not groups):
        return dataset
    named = isinstance(groups, str)
    values_N = _of_column(dataset, groups) if named else _of_values(dataset, groups)
    if codes(values_N).max(initial=0) < 1:
        raise DataError(
            "all images are of one group",
            where=f"--groups {groups}" if named else "groups",
            hint="name a column that tells patients, videos or bursts apart",
        )
    found = replace(dataset, groups=values_N, grouped_by=groups if named else "")
    shared = shared_groups(found)
    for problem in shared:
        _LOG.warning("%s: %s", found.name, problem)
    return replace(found, problems=(*found.problems, *shared))


def shared_groups(dataset: Dataset) -> list[str]:
    """Return a line where groups are on both sides of the partition that came with the data."""
    if dataset.groups is None or dataset.train_N is None:
        return []
    codes_N = codes(dataset.groups)
    both = np.intersect1d(codes_N[dataset.train_N], codes_N[~dataset.train_N])
    if not len(both):
        return []
    return [f"{len(both)} groups have images to train on and images to measure on"]


def column_name(dataset: Dataset, text: str, where: str) -> str:
    """Return the attribute that a text names, with `attr:` in front or without.

    Raises:
        ConfigError: for a column that there is not.
    """
    name = text.removeprefix(ATTRIBUTE)
    known = [] if dataset.attributes is None else [str(c) for c in dataset.attributes.columns]
    if name not in known:
        raise ConfigError(
            f"no attribute {name!r} in {dataset.name}",
            where=f"{where} {text}",
            hint=nearest(name, known) if known else "this data has no attribute columns",
        )
    return name


def _of_column(dataset: Dataset, text: str) -> IdArray:
    if text == "label":
        found = dataset.target("label")
    elif text == IDS and not _has(dataset, IDS):
        return stems(dataset.ids)
    else:
        column = column_name(dataset, text, "--groups")
        assert dataset.attributes is not None
        found = _labeling(dataset, dataset.attributes[column])
    return _names(found)


def _has(dataset: Dataset, column: str) -> bool:
    return dataset.attributes is not None and column in map(str, dataset.attributes.columns)


def stems(ids: IdArray) -> IdArray:
    """Return (N,) what each id has before its last number: its folder, and the name of a burst.

    An id that has no number, or nothing else, stands for itself: "".
    """
    return np.array([stem_of(name)[0] for name in ids.tolist()], dtype=np.str_)


def stem_of(name: str) -> tuple[str, int]:
    """Return what an id has before its last number, and that number; ("", 0) for nothing."""
    folder, slash, file = name.rpartition("/")
    bare = re.sub(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", "", file)
    found = _STEM.fullmatch(bare)
    if found is None or not (found["stem"] or folder):
        return "", 0
    return f"{folder}{slash}{found['stem']}", int(found["number"])


def _of_values(dataset: Dataset, values: Any) -> IdArray:
    return _names(target_of(dataset, values, "groups"))


def _labeling(dataset: Dataset, values: Any) -> Any:
    from taskdiscovery.types import Labeling

    return Labeling.from_values("groups", values, dataset.ids, dataset.missing)


def _names(labeling: Any) -> IdArray:
    """Return (N,) the names of the classes, "" where an image has none."""
    return np.array([*labeling.classes, ""], dtype=np.str_)[labeling.labels_N]
