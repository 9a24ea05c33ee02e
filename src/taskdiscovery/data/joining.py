"""A partition of one's own: images to train on and images to measure on alone, as one data set.

Two data sets are put after each other, classes matched by name; or a column says which image is
which. Images of a validation part may be seen, and are never measured on.

Axes: N images.
"""

from __future__ import annotations

import logging
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config.specs import parse
from taskdiscovery.data.grouping import ATTRIBUTE, shared_groups
from taskdiscovery.data.images.contents import digests
from taskdiscovery.data.listing import hash_text
from taskdiscovery.data.published import train_of_column
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, IdArray, IntArray, Matrix

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger("taskdiscovery")

#: what data is called that was handed over as objects, and cannot be read again.
IN_MEMORY = ("array", "torch", "frame", "hf")
#: images that are put together in memory; more of them lie in a temporary file.
_IN_MEMORY = 2**30
#: what ids begin with where both have the same.
_PREFIX = ("train/", "test/")


def by_column(dataset: Dataset, column: str) -> Dataset:
    """Return a data set whose partition is what a column says.

    Raises:
        ConfigError, DataError: as `train_of_column`.
    """
    return with_warning(
        replace(dataset, train_N=train_of_column(dataset, column), test=column), told=()
    )


def joined(train: Dataset, test: Dataset) -> Dataset:
    """Put two data sets after each other.

    Args:
        train: images to train on; its classes come first.
        test: images to measure on alone, with labels or without.

    Raises:
        DataError: for images of another shape, features on one side alone, or labels of which none
            has a name that the other side knows.
    """
    _check_alike(train, test)
    ids = _ids(train, test)
    labels, classes = _labels(train, test)
    features = None
    if train.features is not None and test.features is not None:
        features = stacked(train.features, test.features)
    lost = test.name in IN_MEMORY  # nor can the two of them be read again
    both = Dataset(
        images=stacked(train.images, test.images),
        ids=ids,
        labels=labels,
        classes=classes,
        attributes=_attributes(train, test),
        features=features,
        backbone=train.backbone,
        groups=_groups(train, test),
        train_N=np.arange(len(ids)) < len(train),
        test="" if lost else test.name,
        name=test.name if lost else train.name,
        fingerprint=hash_text([train.fingerprint, test.fingerprint]),
        problems=(*train.problems, *(f"test images: {line}" for line in test.problems)),
        notes=(*train.notes, *(f"test images: {line}" for line in test.notes)),
        size=train.size,
        fit=train.fit,
        range=train.range,
        facts_parquet=_facts(train, test),
        missing=train.missing,
    )
    return with_warning(both, told=_told(train, test))


def with_warning(dataset: Dataset, told: tuple[str, ...]) -> Dataset:
    """Return a data set whose problems say what images to train and to measure on share.

    Args:
        dataset: with a partition.
        told: further problems.
    """
    assert dataset.train_N is not None
    train_N, found = dataset.train_N, list(told)
    hashes_N = digests(dataset.content)
    if copies := int(np.isin(hashes_N[~train_N], hashes_N[train_N]).sum()):
        found.append(f"{copies} of {int((~train_N).sum())} test images are exact copies of others")
    found += shared_groups(dataset)
    for problem in found:
        _LOG.warning("%s: %s", dataset.name, problem)
    return replace(dataset, problems=(*dataset.problems, *found))


def _check_alike(train: Dataset, test: Dataset) -> None:
    """Refuse what cannot be put together.

    Raises:
        DataError: saying why.
    """
    if train.image_shape != test.image_shape:
        raise DataError(
            f"images to train on are {_shape(train)}, those to measure on {_shape(test)}",
            where=f"--test {test.name}",
            hint="read both with --size, e.g. --size 32",
        )
    mine, theirs = train.features, test.features
    if (mine is None) != (theirs is None) or (
        mine is not None and theirs is not None and mine.shape[1] != theirs.shape[1]
    ):
        raise DataError(
            f"images to train on have {_width(train)}, those to measure on {_width(test)}",
            where=f"--test {test.name}",
            hint="give both the features of the same network",
        )
    if train.backbone and test.backbone and train.backbone != test.backbone:
        raise DataError(
            f"features to train on are of {train.backbone}, those to measure on of {test.backbone}",
            where=f"--test {test.name}",
            hint="give both the features of the same network",
        )
    if train.labels is not None and test.labels is not None:
        mine_c, theirs_c = set(train.classes), set(test.classes)
        if not mine_c & theirs_c:
            raise DataError(
                f"no class of the test images ({', '.join(test.classes[:3])}, …) has a name that "
                f"those to train on know ({', '.join(train.classes[:3])}, …)",
                where=f"--test {test.name}",
                hint="classes are matched by name: name them alike",
            )


def _shape(dataset: Dataset) -> str:
    height, width, channels = dataset.image_shape
    return f"{width} x {height} x {channels}"


def _width(dataset: Dataset) -> str:
    return "no features" if dataset.features is None else f"{dataset.features.shape[1]} features"


def _ids(train: Dataset, test: Dataset) -> IdArray:
    """Return the ids of both, with a prefix each where any is on both sides."""
    if not np.isin(test.ids, train.ids).any():
        return np.concatenate([train.ids, test.ids])
    return np.concatenate(
        [np.char.add(prefix, side.ids) for prefix, side in zip(_PREFIX, (train, test), strict=True)]
    )


def _labels(train: Dataset, test: Dataset) -> tuple[IntArray | None, tuple[str, ...]]:
    """Return labels and classes of both; classes that only the test images have come last."""
    if train.labels is None and test.labels is None:
        return None, ()
    classes = (*train.classes, *(name for name in test.classes if name not in train.classes))
    number = np.array([*(classes.index(name) for name in test.classes), -1], dtype=np.int64)
    sides = [
        np.full(len(train), -1, dtype=np.int64) if train.labels is None else train.labels,
        np.full(len(test), -1, dtype=np.int64) if test.labels is None else number[test.labels],
    ]
    return np.concatenate(sides), classes


def _told(train: Dataset, test: Dataset) -> tuple[str, ...]:
    """Return what is worth telling of the classes."""
    if train.labels is None or test.labels is None:
        return ()
    found = []
    for own, other, what in (
        (train, test, "to train on"),
        (test, train, "to measure on"),
    ):
        alone = [name for name in own.classes if name not in other.classes]
        if alone:
            some = ", ".join(alone[:5]) + (", …" if len(alone) > 5 else "")
            found.append(f"{len(alone)} classes have images {what} alone: {some}")
    return tuple(found)


def _attributes(train: Dataset, test: Dataset) -> pd.DataFrame | None:
    """Return the columns of both; missing where a side does not have one."""
    if train.attributes is None and test.attributes is None:
        return None
    import pandas as pd

    empty = [pd.DataFrame(index=range(len(side))) for side in (train, test)]
    sides = [
        own if side.attributes is None else side.attributes
        for own, side in zip(empty, (train, test), strict=True)
    ]
    columns = list(dict.fromkeys([*sides[0].columns, *sides[1].columns]))
    return pd.DataFrame({c: _column([s.get(c) for s in sides], (train, test)) for c in columns})


def _column(parts: list[Any], sides: tuple[Dataset, Dataset]) -> Any:
    """Return one column of both sides; what a side does not have is missing there."""
    import pandas as pd

    if all(part is not None for part in parts):
        return pd.concat(parts, ignore_index=True)
    known = next(part for part in parts if part is not None)
    kind = "float64" if known.dtype.kind in "iuf" else object
    fill = np.nan if kind == "float64" else None
    whole = [
        pd.Series([fill] * len(side), dtype=kind) if part is None else part.astype(kind)
        for part, side in zip(parts, sides, strict=True)
    ]
    return pd.concat(whole, ignore_index=True)


def _groups(train: Dataset, test: Dataset) -> IdArray | None:
    """Return the groups of both, where either has some; groups of one name are one."""
    if train.groups is None and test.groups is None:
        return None
    return np.concatenate(
        [
            np.zeros(len(side), dtype=np.str_) if side.groups is None else side.groups
            for side in (train, test)
        ]
    )


def _facts(train: Dataset, test: Dataset) -> bytes | None:
    """Return what the files of both say, where both came from files."""
    if train.facts is None or test.facts is None:
        return None
    import pandas as pd

    table = pd.concat([train.facts, test.facts], ignore_index=True)
    found: bytes = table.to_parquet(index=False)
    return found


def stacked(first: Any, second: Any) -> Any:
    """Put two tables after each other; in a temporary file where they are large."""
    shape = (len(first) + len(second), *first.shape[1:])
    dtype = np.result_type(first.dtype, second.dtype)
    table: Matrix
    if int(np.prod(shape)) * dtype.itemsize <= _IN_MEMORY:
        table = np.empty(shape, dtype=dtype)
    else:
        with tempfile.TemporaryFile() as file:  # it is gone when nothing maps it any more
            table = np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    for start in range(0, len(first), 4096):
        table[start : min(start + 4096, len(first))] = first[start : start + 4096]
    for start in range(0, len(second), 4096):
        place = len(first) + start
        table[place : min(place + 4096, len(table))] = second[start : start + 4096]
    return table


def sides(dataset: Dataset) -> list[slice]:
    """Return where the data sets lie that a data set was put together from; else all of it."""
    train_N, whole = dataset.train_N, [slice(0, len(dataset))]
    if train_N is None or not dataset.test or not names_data(dataset.test, ()):
        return whole
    if (~train_N[:-1] & train_N[1:]).any():
        return whole
    middle = int(train_N.sum())
    return [slice(0, middle), slice(middle, len(dataset))]


def names_data(text: str, kinds: tuple[str, ...]) -> bool:
    """Say whether a text names data rather than a column: a specification, or a path that exists.

    Args:
        text: of `--test`.
        kinds: of data that need no path.
    """
    if text.startswith(ATTRIBUTE):
        return False
    if ":" in text or "/" in text or "\\" in text:
        return True
    return parse(text).name in kinds or Path(text).expanduser().exists()
