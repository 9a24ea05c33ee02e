"""Arrays of images and of what is known of them, in an npz file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from taskdiscovery.data.listing import Reading
from taskdiscovery.data.readers.arrays import from_arrays
from taskdiscovery.errors import DataError
from taskdiscovery.types import Dataset

IMAGES = ("images", "x", "X", "data", "x_train", "arr_0")
LABELS = ("labels", "y", "label", "y_train", "arr_1")


def check(path: Path, name: str) -> None:
    """Refuse a file that is not npz, declares too much, or has no images; nothing is unpacked.

    Raises:
        DataError: saying what is wrong.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"this is not an npz file: {error}", where=str(path), hint="write it with numpy.savez"
        ) from error
    declared = sum(entry.file_size for entry in entries.values())
    if declared > max(2**30, 200 * path.stat().st_size):
        raise DataError(
            f"the file declares {declared / 2**30:.1f} GiB in {path.stat().st_size:,} bytes",
            where=str(path),
            hint="this looks like a decompression bomb; save it again with numpy.savez",
        )
    if not any(key in entries for key in IMAGES):
        raise DataError(
            "the file has no array of images",
            where=f"{path}: {', '.join(entries) or 'empty'}",
            hint=f"name it one of {', '.join(IMAGES)}",
        )


def read(path: Path, name: str, how: Reading) -> Dataset:
    """Read arrays `images`, `labels`, optional `ids` and `attr_NAME` from an npz file.

    Raises:
        DataError: for pickled content (never executed), or as `from_arrays`.
    """
    import pandas as pd

    check(path, name)
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the arrays cannot be read: {error}",
            where=str(path),
            hint="save plain numeric arrays; pickled objects are never loaded",
        ) from error
    images = next(arrays[key] for key in IMAGES if key in arrays)
    labels = next((arrays[key] for key in LABELS if key in arrays), None)
    columns = {k.removeprefix("attr_"): v for k, v in arrays.items() if k.startswith("attr_")}
    ids = [str(i) for i in arrays["ids"]] if "ids" in arrays else None
    for key, values in {**columns, "ids": arrays.get("ids")}.items():
        if values is not None and len(values) != len(images):
            raise DataError(
                f"{len(values)} values of {key} for {len(images)} images",
                where=str(path),
                hint="give one value per image",
            )
    return from_arrays(
        images,
        labels,
        ids=ids,
        classes=[str(c) for c in arrays["classes"]] if "classes" in arrays else (),
        attributes=pd.DataFrame(columns) if columns else None,
        name=name,
        **how.pixels,
    )
