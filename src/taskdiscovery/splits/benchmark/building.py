"""A folder that is whole or not there: built under a hidden name beside its place, then renamed.

Where the place is a folder already, which may be where a disk is mounted, it is built within, and
its files move up one by one, that which commits them last.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from taskdiscovery.errors import RunDirError
from taskdiscovery.store import check_new
from taskdiscovery.store.place import Place
from taskdiscovery.store.writing import atomic, resources

_BUILDING, _LOCK = ".building", ".lock"


@contextlib.contextmanager
def built(folder: Path, last: str) -> Iterator[Path]:
    """Give an empty folder to fill, which has its name when the block has ended without an error.

    What a process left there that was killed is removed; another process that builds the same
    folder now is left alone, and the last one that ends is refused.

    Args:
        folder: a new one.
        last: the file of it without which it is not whole.

    Raises:
        RunDirError: where the place is taken, when the block begins or when it ends.
        ResourceError: where it cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    check_place(folder)
    base = folder if folder.is_dir() else folder.parent
    building = base / f".{folder.name}.{secrets.token_hex(4)}{_BUILDING}"
    with resources(folder):
        base.mkdir(parents=True, exist_ok=True)
        building.mkdir()
    try:
        with resources(folder):
            lock = Place(building).lock(_LOCK, f"process {os.getpid()}")
        with lock:
            yield building
        with resources(folder):
            (building / _LOCK).unlink()
        _move(building, folder, last)
        with resources(folder):
            _sync(folder.parent)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def check_place(folder: Path) -> None:
    """Refuse a place that is taken; remove what processes left that died while they built there.

    Raises:
        RunDirError: where it is taken.
        ResourceError: where it cannot be written.
    """
    for base in (folder, Path(os.path.abspath(folder)).parent):
        _remove_leftovers(base, Path(os.path.abspath(folder)).name)
    check_new(folder)


def _move(building: Path, folder: Path, last: str) -> None:
    """Give what was built its name.

    Raises:
        RunDirError: where the place was taken meanwhile.
        ResourceError: where it cannot be written.
    """
    if building.parent != folder:
        check_new(folder)
        with resources(folder):
            building.rename(folder)
        return
    with resources(folder):
        here = sorted(os.listdir(building), key=lambda name: (name == last, name))
        taken = set(here) & set(os.listdir(folder))
    if taken:
        raise RunDirError(
            f"another process wrote {min(taken)} there",
            where=str(folder),
            hint="give another --out",
        )
    with resources(folder):
        for name in here:
            (building / name).rename(folder / name)


def put(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, and the folder that it lies in.

    Raises:
        ResourceError: where it cannot be written.
    """
    with resources(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as stream:
        stream.write(content)


def _remove_leftovers(base: Path, name: str) -> None:
    """Remove what was left in a folder of others of a name that were being built there."""
    own = re.compile(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}{re.escape(_BUILDING)}")
    with contextlib.suppress(OSError):
        for path in sorted(base.iterdir()) if base.is_dir() else []:
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
