"""From a column of values of any kind to classes: what is one value, and what is none.

Axes: N values.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import DataError
from taskdiscovery.types.aliases import IntArray

#: texts that stand for a missing value among numbers; among other texts they are classes.
NO_VALUE = frozenset(("NA", "N/A", "n/a", "na", "<NA>", "#N/A", "NaN", "nan", "NAN", "NaT"))
NO_VALUE |= {"None", "none", "NONE", "null", "NULL", "Null", "-nan", "-NaN"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
#: whole numbers below are the same in floating point.
_EXACT = 2**53


def class_codes(
    name: str, values: Any, missing: Collection[str] = ()
) -> tuple[IntArray, tuple[str, ...]]:
    """Turn a column of values into class indices, in sorted order; missing values become -1.

    Values of one name are one class: 1, 1.0 and "1"; True and "True"; but not "01". Missing are
    None, NaN, NaT, pd.NA, empty texts, the texts of `missing`, and among numbers those of
    `NO_VALUE`.

    Args:
        name: of the column, for the error.
        values: (N,) of any kind: a list, an array, a Series, a tensor.
        missing: further texts that stand for a missing value.

    Returns:
        (N,) indices, and the names of the classes: numbers first, by size, then texts.

    Raises:
        DataError: for cells that hold several values.
    """
    distinct, places_N = distinct_values(name, values)
    names = [value_name(value) for value in distinct]
    words = set(missing)
    if all_numbers(n for n in names if n is not None and n not in NO_VALUE):
        words |= NO_VALUE
    order: dict[str, tuple[int, float, str]] = {}
    for value, own in zip(distinct, names, strict=True):
        if own is not None and own not in words:
            key = _sort_key(value, own)
            order[own] = min(order.get(own, key), key)
    classes = tuple(sorted(order, key=lambda own: order[own]))
    index = {own: c for c, own in enumerate(classes)}
    codes = np.array([index.get(own, -1) if own is not None else -1 for own in names], np.int64)
    return codes[places_N] if len(codes) else places_N, classes


def without_empty(labels_N: IntArray, classes: tuple[str, ...]) -> tuple[IntArray, tuple[str, ...]]:
    """Leave out classes that have no value, and number the others anew."""
    counts = np.bincount(labels_N[labels_N >= 0], minlength=len(classes))
    if (counts > 0).all():
        return labels_N, classes
    number = np.append(np.where(counts > 0, np.cumsum(counts > 0) - 1, -1), -1)
    kept = tuple(name for name, count in zip(classes, counts, strict=True) if count)
    return number[labels_N].astype(np.int64), kept


def distinct_values(name: str, values: Any) -> tuple[Sequence[Any], IntArray]:
    """Return the distinct values of a column, by type and value, and (N,) their positions.

    Raises:
        DataError: for cells that hold several values.
    """
    column = column_of(values)
    if column.ndim != 1:
        raise DataError(
            f"{name} has values of shape {column.shape}",
            where=name,
            hint="give one value per image",
        )
    if column.dtype.kind in "iufbM":
        found, places = np.unique(column, return_inverse=True)
        return list(found), places.astype(np.int64).reshape(-1)
    seen: dict[tuple[type, Any], int] = {}
    places_N = np.empty(len(column), dtype=np.int64)
    for i, value in enumerate(column):
        if isinstance(value, Collection) and not isinstance(value, str | bytes):
            raise DataError(
                f"{name} has cells that hold several values, e.g. {str(value)[:60]}",
                where=f"{name}, row {i}",
                hint="give one value per image",
            )
        places_N[i] = seen.setdefault((value.__class__, value), len(seen))
    return [value for _, value in seen], places_N


def column_of(values: Any) -> NDArray[Any]:
    """Return an array of values whose types are kept: a list of texts and None stays that."""
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ma.MaskedArray):
        masked = np.ma.getmaskarray(values)
        values = np.asarray(values.data, dtype=object)
        values[masked] = None
    if hasattr(values, "__array__"):
        return np.asarray(values)
    if not isinstance(values, Iterable):
        return np.asarray(values)
    items = list(values)
    column = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        is_scalar = getattr(item, "ndim", None) == 0 and hasattr(item, "item")
        column[i] = item.item() if is_scalar and not isinstance(item, np.generic) else item
    return column


def value_name(value: Any) -> str | None:
    """Return what a value is called as a class or an id; None where it is missing."""
    if value is None or isinstance(value, str):
        return str(value) if value is not None and value.strip() else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace") or None
    if isinstance(value, bool | np.bool_ | int | np.integer):
        return str(value)
    if isinstance(value, float | np.floating | Decimal | Fraction):
        return _number_name(value)
    import pandas as pd

    if value is pd.NA or value is pd.NaT or _is_nat(value):
        return None
    return str(pd.Timestamp(value) if isinstance(value, np.datetime64) else value) or None


def is_number(text: str) -> bool:
    """Say whether a text looks like a number, zero-padded ones too."""
    return _NUMBER.fullmatch(text) is not None or _INFINITE.fullmatch(text) is not None


def all_numbers(texts: Iterable[str]) -> bool:
    """Say whether there are texts, and all of them look like numbers."""
    some = False
    for text in texts:
        some = is_number(text)
        if not some:
            break
    return some


def _number_name(value: Any) -> str | None:
    if value != value:
        return None
    whole = abs(value) < _EXACT and value == int(value)
    return str(int(value)) if whole else str(value)


def _is_nat(value: Any) -> bool:
    return isinstance(value, np.datetime64 | np.timedelta64) and bool(np.isnat(value))


def _sort_key(value: Any, name: str) -> tuple[int, float, str]:
    if isinstance(value, int | float | np.integer | np.floating | Decimal | Fraction):
        return (0, float(value), name)
    return (1, 0.0, name)
