"""Arrays of images and of what is known of them, in an npz file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from taskdiscovery.data.formats.archives import read_arrays, sizes_of
from taskdiscovery.data.formats.columnar import tell_left_out
from taskdiscovery.data.listing import Reading
from taskdiscovery.data.readers.arrays import from_arrays
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.budget import Budget
from taskdiscovery.types import Dataset

IMAGES = ("images", "x", "X", "data", "x_train", "arr_0")
LABELS = ("labels", "y", "label", "y_train", "arr_1")
_BESIDE, _ATTRIBUTE = ("ids", "classes"), "attr_"


def check(path: Path, name: str) -> None:
    """Refuse a file that is not npz, declares too much, or has no images; nothing is unpacked.

    Raises:
        DataError: saying what is wrong.
    """
    sizes = sizes_of(path)
    if not any(key in sizes for key in IMAGES):
        raise DataError(
            "the file has no array of images",
            where=f"{path}: {', '.join(sizes)[:200] or 'empty'}",
            hint=f"name it one of {', '.join(IMAGES)}",
        )
    budget = Budget.of_file(path)
    for key in filter(None, _keys(sizes)):
        budget.take(sizes[key], f"array {key}")


def read(path: Path, name: str, how: Reading) -> Dataset:
    """Read arrays `images`, `labels`, optional `ids`, `classes` and `attr_NAME` from an npz file.

    Raises:
        DataError: for pickled content (never executed), arrays that would take too much memory, or
            as `from_arrays`.
    """
    import pandas as pd

    check(path, name)
    image, label = keys = _keys(sizes_of(path))
    must = {*keys, *_BESIDE}
    try:
        arrays, left_out = read_arrays(
            path,
            Budget.of_file(path),
            must.__contains__,
            lambda key: key in must or key.startswith(_ATTRIBUTE),
        )
    except DataError:
        raise
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the arrays cannot be read: {first_line(error)}",
            where=str(path),
            hint="save plain numeric arrays; pickled objects are never loaded",
        ) from error
    images = arrays[image]
    labels = None if label is None else arrays[label]
    columns = {k.removeprefix(_ATTRIBUTE): v for k, v in arrays.items() if k not in must}
    ids = [str(i) for i in arrays["ids"]] if "ids" in arrays else None
    for key, values in {**columns, "ids": arrays.get("ids")}.items():
        if values is not None and len(values) != len(images):
            raise DataError(
                f"{len(values)} values of {key} for {len(images)} images",
                where=str(path),
                hint="give one value per image",
            )
    made = from_arrays(
        images,
        labels,
        ids=ids,
        classes=[str(c) for c in arrays["classes"]] if "classes" in arrays else (),
        attributes=pd.DataFrame(columns) if columns else None,
        name=name,
        **how.pixels,
    )
    return replace(made, problems=(*tell_left_out(left_out, str(path)), *made.problems))


def _keys(names: Collection[str]) -> tuple[str, str | None]:
    """Return the array of images and that of labels, or None."""
    image = next(key for key in IMAGES if key in names)
    return image, next((key for key in LABELS if key in names), None)
