"""npz under a budget of memory: arrays one by one, each held against what its header declares."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.budget import Budget, check_columns

#: what NumPy writes; other ways to compress take memory of their own that the file names.
_KNOWN = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENDING = ".npy"
#: an optional array takes at most this share of the budget.
_SHARE = 0.5


def sizes_of(path: Path) -> dict[str, int]:
    """Return the arrays of an npz file, and the bytes that each declares; nothing is unpacked.

    Raises:
        DataError: where it is none.
    """
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {_name(entry): entry.file_size for entry in archive.infolist()}
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"this is not an npz file: {first_line(error)}",
            where=str(path),
            hint="write it with numpy.savez",
        ) from error
    check_columns(len(sizes), str(path))
    return sizes


def read_arrays(
    path: Path,
    budget: Budget,
    must: Callable[[str], bool],
    wanted: Callable[[str], bool] = lambda name: True,
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Read arrays of an npz file, without pickled ones.

    Args:
        path: of the file.
        budget: of memory, that they are taken from.
        must: whether an array has to be there; so has what is not text.
        wanted: whether an array is read at all.

    Returns:
        The arrays by name; and those that were left out, since they would take too much.

    Raises:
        DataError: where an array that has to be there takes too much.
        Exception: of many kinds, for damaged files and pickled arrays.
    """
    arrays, left_out = {}, []
    with zipfile.ZipFile(path) as archive:
        check_columns(len(archive.infolist()), str(path))
        for entry in archive.infolist():
            name = _name(entry)
            if not wanted(name):
                continue
            with _member(archive, entry) as stream:
                size, text = _declared(stream, entry)
            if text and not must(name) and size > budget.part(_SHARE).left:
                left_out.append(name)
                continue
            budget.take(size, f"array {name}")
            with _member(archive, entry) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays, left_out


def _name(entry: zipfile.ZipInfo) -> str:
    return entry.filename.removesuffix(_ENDING)


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    """Open a part of the archive.

    Raises:
        ValueError: where it is compressed in a way that NumPy does not write.
    """
    if entry.compress_type not in _KNOWN:
        raise ValueError(f"{entry.filename} is compressed as numpy.savez does not do it")
    return archive.open(entry)


def _declared(stream: IO[bytes], entry: zipfile.ZipInfo) -> tuple[int, bool]:
    """Return the bytes of an array, as its header and the archive agree; and whether it is text.

    Raises:
        ValueError: where they do not agree, or it is a pickled one.
    """
    version = np.lib.format.read_magic(stream)
    reader = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if reader is None:  # 3.0: names of fields that are not ASCII
        raise ValueError(f"{entry.filename} is of version {version} of the format")
    shape, _, dtype = reader(stream)
    if dtype.hasobject:
        raise ValueError("Object arrays cannot be loaded when allow_pickle=False")
    size = math.prod(shape) * dtype.itemsize
    if stream.tell() + size != entry.file_size:
        raise ValueError(
            f"{entry.filename} declares an array of {size:,} bytes in {entry.file_size:,}"
        )
    return size, dtype.kind in "SU"
