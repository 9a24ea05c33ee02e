"""A folder that is whole or not there: built under a hidden name beside its place, then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from taskdiscovery.store import check_new
from taskdiscovery.store.place import Place
from taskdiscovery.store.writing import atomic, resources

_BUILDING, _LOCK = ".building", ".lock"


@contextlib.contextmanager
def built(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which has its name when the block has ended without an error.

    What a process left there that was killed is removed; another process that builds the same
    folder now is left alone, and the last one that ends is refused.

    Args:
        folder: a new one.

    Raises:
        RunDirError: where the place is taken, when the block begins or when it ends.
        ResourceError: where it cannot be written.
    """
    check_new(folder)
    folder = Path(os.path.abspath(folder))
    with resources(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        building = folder.parent / f".{folder.name}.{secrets.token_hex(4)}{_BUILDING}"
        building.mkdir()
    try:
        with resources(folder):
            lock = Place(building).lock(_LOCK, f"process {os.getpid()}")
        with lock:
            yield building
        check_new(folder)
        with resources(folder):
            (building / _LOCK).unlink()
            if folder.is_dir():  # empty, but for what a process left that died
                shutil.rmtree(folder)
            building.rename(folder)
            _sync(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, and the folder that it lies in.

    Raises:
        ResourceError: where it cannot be written.
    """
    with resources(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as stream:
        stream.write(content)


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes left that died while they built the same folder."""
    own = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{8}}{re.escape(_BUILDING)}")
    for path in sorted(folder.parent.iterdir()):
        if own.fullmatch(path.name) is None or path.is_symlink() or not path.is_dir():
            continue
        with contextlib.suppress(OSError):  # BlockingIOError: somebody is at work there
            Place(path).lock(_LOCK, f"process {os.getpid()}").close()
            shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    """Make a rename last; where the system cannot (Windows), it lasts as it may."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
