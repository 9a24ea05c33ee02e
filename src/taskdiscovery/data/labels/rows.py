"""Which column or index of a table names the images, and so which row belongs to which image.

Axes: N images, M rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.labels.matching import (
    Match,
    check_count,
    check_repeated,
    match,
    tell,
    texts,
)
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, IntArray

if TYPE_CHECKING:
    import pandas as pd

_LOG = logging.getLogger("taskdiscovery")

#: columns that name images, whatever their case; the first of those that find the most images.
ID_COLUMNS = ("image_id", "filename", "file_name", "image", "img_filename", "file", "path", "id")
#: columns that may: where none of their values is an image, they are columns like others.
PERHAPS = ("name", "ids", "img_id", "image_name", "img_name", "image_path", "img_path", "filepath")
#: what pandas and we call a column without a name.
UNNAMED = "Unnamed: 0"


@dataclass(frozen=True, eq=False, kw_only=True)
class Names:
    """A column or an index that may name the images.

    Attributes:
        column: its name in the frame; None for an index.
        words: what to call it.
        ids: (M,) texts.
        certain: whether it can mean nothing else, so that ids that match nothing are an error.
        counted: whether it counts the rows from 0: it then says no more than their order, unless
            the images' ids are row numbers.
    """

    column: object
    words: str
    ids: list[str]
    certain: bool
    counted: bool = False


def is_id_column(column: object) -> bool:
    """Say whether a column has a name that only ids have."""
    return str(column).strip().lower() in ID_COLUMNS


def rows_of(
    frame: pd.DataFrame, dataset: Dataset, where: str, *, from_file: bool = True
) -> tuple[IntArray, object]:
    """Find the row of each image.

    Args:
        frame: with ids in a column or in its index, in any order; without them, one row for each
            image, in their order.
        dataset: the images.
        where: the table, for messages.
        from_file: whether its index, where it only counts the rows, was made in reading, so that
            it is told where rows are matched by order.

    Returns:
        (N,) positions, -1 for images without a row; and the column of ids, or None.

    Raises:
        DataError: for ids that occur twice with different rows, or match nothing, or another
            number of rows than images.
    """
    if not len(frame):
        raise DataError("the table has no rows", where=where, hint="give a row per image")

    own = dataset.ids.tolist()
    tried: list[tuple[Names, Match]] = []
    repeated: DataError | None = None
    for names in _names(frame, from_file):
        found = match(names.ids, own)
        if names.counted and found.form:
            continue
        try:
            check_repeated(found, partial(_content, frame), f"{where}, {names.words}")
        except DataError as error:
            repeated = repeated or (error if names.certain and found.found else None)
            continue
        tried.append((names, found))
    if matched := [(names, found) for names, found in tried if found.found]:
        names, found = max(matched, key=lambda pair: (not pair[0].counted, pair[1].found))
        tell(found, names.ids, dataset, f"{where}, {names.words}")
        return found.rows_N, names.column
    if repeated is not None:
        raise repeated
    for names, _ in tried:
        if names.certain:
            raise DataError(
                f"no id matches an image, e.g. {names.ids[0]!r} against {own[0]!r}",
                where=f"{where}, {names.words}",
                hint="use the image ids that `info` shows",
            )
    check_count(len(frame), dataset, "rows", where)
    if from_file:
        _LOG.warning(
            "%s: rows matched by order, for no column names the images; name one of %s",
            where,
            ", ".join(ID_COLUMNS[:3]),
        )
    return np.arange(len(frame), dtype=np.int64), None


def _content(frame: pd.DataFrame) -> IntArray:
    """Return (M,) a number for what each row says, its own number apart."""
    import pandas as pd

    named = frame[[c for c in frame.columns if c != UNNAMED]]
    hashed = pd.util.hash_pandas_object(named.astype(str), index=False)
    return hashed.to_numpy().astype(np.int64)


def counts_rows(index: Any) -> bool:
    """Say whether an index is the one that pandas makes where none is given."""
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1


def _names(frame: pd.DataFrame, from_file: bool) -> Iterator[Names]:
    """Yield what may name the images, the likeliest first."""
    known = {str(column).strip().lower(): column for column in reversed(frame.columns)}
    for name in (*ID_COLUMNS, *PERHAPS):
        if name in known:
            yield Names(
                column=known[name],
                words=f"column {known[name]}",
                ids=texts(frame[known[name]]),
                certain=name in ID_COLUMNS,
            )
    for number, level in enumerate(frame.index.names):
        if from_file and counts_rows(frame.index):
            break
        words = "index" if level is None else f"index {level}"
        yield _unnamed(None, words, frame.index.get_level_values(number), level is None)
    if len(frame.columns) and str(frame.columns[0]) in (UNNAMED, ""):
        yield _unnamed(frame.columns[0], "first column", frame.iloc[:, 0], True)
    listed = {known[name] for name in (*ID_COLUMNS, *PERHAPS) if name in known}
    for column in frame.columns:
        if column not in listed and column != UNNAMED and frame[column].dtype.kind not in "iufbM":
            if _has_twice(frame[column]):
                continue
            ids = texts(frame[column])
            if len(set(ids)) == len(ids):  # whatever it is called
                yield Names(column=column, words=f"column {column}", ids=ids, certain=False)


def _has_twice(values: pd.Series) -> bool:
    """Say whether a column of texts holds one twice, where that is quickly known."""
    import pandas as pd

    return isinstance(values.dtype, pd.StringDtype) and not values.is_unique


def _unnamed(column: object, words: str, values: Any, may_count: bool) -> Names:
    ids = texts(values)
    whole = all(name.isascii() and name.isdecimal() and str(int(name)) == name for name in ids)
    counted = may_count and whole and ids == [str(row) for row in range(len(ids))]
    return Names(column=column, words=words, ids=ids, certain=not whole, counted=counted)
