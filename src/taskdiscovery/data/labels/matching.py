"""Which row of a table belongs to which image: by id, in one way for everything that has ids.

An id is an image's id as it is written; else in the normal form, one for the whole table, in which
the most images are found. A form must keep the ids of either side apart.

Axes: N images, M rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from taskdiscovery.data.labels.forms import FORMS, agree
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset, IntArray
from taskdiscovery.types.classes import column_of, value_name

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class Match:
    """Which row belongs to which image.

    Attributes:
        rows_N: (N,) the first row of each image; -1 where it has none.
        form: in which the ids were compared; empty where as they are written.
        repeated: (M,) rows whose id stands in an earlier row, with that row; else -1.
    """

    rows_N: IntArray
    form: str
    repeated: IntArray

    @property
    def found(self) -> int:
        """How many images have a row."""
        return int((self.rows_N >= 0).sum())


def match(given: Sequence[str], own: Sequence[str]) -> Match:
    """Find the row of each image.

    Args:
        given: (M,) ids of the rows; empty ones match nothing.
        own: (N,) distinct ids of the images.
    """
    first: dict[str, int] = {}
    repeated = np.full(len(given), -1, dtype=np.int64)
    for row, name in enumerate(given):
        if name and first.setdefault(name, row) != row:
            repeated[row] = first[name]
    exact = [first.get(name, -1) for name in own]
    best, form, found = exact, "", sum(row >= 0 for row in exact)
    used = set(exact)
    left = [name for name, row in first.items() if row not in used]
    without = [name for name, row in zip(own, exact, strict=True) if row < 0]
    for words, normal in FORMS:
        if not left or not without or found == min(len(first), len(own)):
            break
        if not set(map(normal, left)) & set(map(normal, without)):
            continue
        rows = _rows_in(normal, first, own)
        count = sum(row >= 0 for row in rows)
        changed = [i for i, row in enumerate(rows) if row >= 0 and row != best[i]]
        if count > found and (not found or all(agree(own[i], given[rows[i]]) for i in changed)):
            best, form, found = rows, words, count
    return Match(rows_N=np.array(best, dtype=np.int64), form=form, repeated=repeated)


def _rows_in(
    normal: Callable[[str], str], first: Mapping[str, int], own: Sequence[str]
) -> list[int]:
    """Return the row of each image in a normal form; none where it takes two ids for one."""
    index = {normal(name): row for name, row in first.items()}
    wanted = [normal(name) for name in own]
    if len(index) < len(first) or len(set(wanted)) < len(own):
        return []
    return [index.get(name, -1) if name else -1 for name in wanted]


def rows_by_id(
    given: Any, dataset: Dataset, where: str, *, content: Callable[[], IntArray] | None = None
) -> IntArray:
    """Return (N,) the position of each image's id among those given; -1 where it is missing.

    Args:
        given: (M,) ids, in any order.
        dataset: the images.
        where: for messages.
        content: (M,) a number for what each row says: rows of one id must say the same. None
            where an id may occur once only.

    Raises:
        DataError: where an id occurs twice, or none is an image's.
    """
    ids = texts(given)
    if not ids:
        raise DataError("the table has no rows", where=where, hint="give a row per image")
    found = match(ids, dataset.ids.tolist())
    check_repeated(found, content, where)
    if not found.found:
        raise DataError(
            f"no id matches an image, e.g. {ids[0]!r} against {str(dataset.ids[0])!r}",
            where=where,
            hint="use the image ids that `info` shows",
        )
    tell(found, ids, dataset, where)
    return found.rows_N


def check_repeated(found: Match, content: Callable[[], IntArray] | None, where: str) -> None:
    """Refuse ids that occur more than once, unless their rows are identical.

    Raises:
        DataError: counting them.
    """
    again = np.flatnonzero(found.repeated >= 0)
    if len(again) and content is not None:
        said = content()
        again = again[said[again] != said[found.repeated[again]]]
    if len(again):
        raise DataError(
            f"{len(again)} ids occur more than once, the first again in row {again[0] + 1}",
            where=where,
            hint="give each image one row",
        )


def tell(found: Match, ids: Sequence[str], dataset: Dataset, where: str) -> None:
    """Say in which form ids were matched, and what was not matched, on either side."""
    if found.form:
        image = int(np.flatnonzero(found.rows_N >= 0)[0])
        _LOG.warning(
            "%s: ids are matched by %s, e.g. %r to the image %r",
            where,
            found.form,
            ids[found.rows_N[image]],
            str(dataset.ids[image]),
        )
    shift = _shift(ids, dataset)
    if shift:
        _LOG.warning(
            "%s: ids run from %d to %d, the images' row numbers from 0 to %d; they are matched as "
            "they are written; subtract %d if they count from %d",
            where,
            shift,
            shift + len(dataset) - 1,
            len(dataset) - 1,
            shift,
            shift,
        )
    used = np.zeros(len(ids), dtype=np.bool_)
    used[found.rows_N[found.rows_N >= 0]] = True
    used[found.repeated >= 0] = True
    without, idle = np.flatnonzero(found.rows_N < 0), np.flatnonzero(~used)
    if len(without) or len(idle):
        _LOG.warning(
            "%s: %d of %d images have no row%s, %d of %d rows have no image%s",
            where,
            len(without),
            len(dataset),
            _examples(dataset.ids[without[:3]].tolist()),
            len(idle),
            len(ids),
            _examples([ids[row] for row in idle[:3]]),
        )


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


def texts(given: Any) -> list[str]:
    """Return ids as texts; an empty one where there is none."""
    column = column_of(given)
    values = list(column) if column.dtype.kind == "M" else column.tolist()
    return [v if isinstance(v, str) else value_name(v) or "" for v in values]


def _shift(ids: Sequence[str], dataset: Dataset) -> int:
    """Return by how much whole numbers 1..N stand above row numbers 0..N-1; 0 where they do not."""
    N = len(dataset)
    if len(ids) != N or not all(name.isascii() and name.isdecimal() for name in ids):
        return 0
    own = dataset.ids.tolist()
    if set(own) != {str(row) for row in range(N)}:
        return 0
    numbers = sorted({int(name) for name in ids})
    return numbers[0] if len(numbers) == N and numbers[-1] - numbers[0] == N - 1 else 0


def _examples(names: Sequence[str]) -> str:
    return f" (e.g. {', '.join(names)})" if names else ""
