"""Where decoded images are kept, and how a build of them becomes whole.

A build is written in a temporary directory beside its final folder and renamed when it is whole, so
that a build that was interrupted, or two that ran at once, leave nothing wrong behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import PIL

from taskdiscovery.data.listing import Listing, Reading, hash_text
from taskdiscovery.runtime import disk

#: raised when the same file and options give other pixels, or a folder holds other files.
FORMAT_VERSION = 3
_LOCK = ".lock"
_LOG = logging.getLogger("taskdiscovery")


def cache_dir() -> Path:
    """Where decoded images are kept: `TASKDISCOVERY_CACHE`, else `~/.cache/taskdiscovery`.

    Without a home (no `HOME`, and a user id that no table knows) it is a temporary folder.
    """
    if given := os.environ.get("TASKDISCOVERY_CACHE"):
        return Path(given)
    try:
        return Path.home() / ".cache" / "taskdiscovery"
    except (RuntimeError, KeyError):
        return _without_home()


@cache
def _without_home() -> Path:
    user = getattr(os, "getuid", lambda: "")()
    place = Path(tempfile.gettempdir()) / f"taskdiscovery-cache-{user}"
    place.mkdir(mode=0o700, exist_ok=True)
    if user != "" and place.stat().st_uid != user:  # somebody else was here first
        place = Path(tempfile.mkdtemp(prefix="taskdiscovery-cache-"))
    _LOG.warning("there is no home directory, decoded images are kept in %s", place)
    return place


def folder_of(listing: Listing, how: Reading) -> Path:
    """Return the folder of a listing, decoded in this way, by this version of Pillow."""
    options = (how.size, how.fit, how.range, how.skip_bad, len(listing.ids))
    parts = [*map(repr, options), str(FORMAT_VERSION), PIL.__version__]
    return (how.cache or cache_dir()) / hash_text([listing.key, *parts])


@contextlib.contextmanager
def building(folder: Path) -> Iterator[Path]:
    """Make a temporary directory, which becomes the folder when the block has ended.

    Raises:
        OSError: where it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder.parent)
    place = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    lock = (place / _LOCK).open("w")
    try:
        disk.lock(lock, wait=True)
        yield place
        if os.name == "nt":  # there, what is open can be neither removed nor moved
            lock.close()
        (place / _LOCK).unlink()
        for path in place.iterdir():
            disk.sync_file(path)
        disk.sync_directory(place)
        try:
            place.rename(folder)
        except OSError:
            if not (folder / "meta.json").exists():  # else another process was first
                raise
        disk.sync_directory(folder.parent)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        lock.close()


def _remove_leftovers(cache: Path) -> None:
    """Remove builds whose process has died: its lock is free, whatever the clock says."""
    for leftover in cache.glob(".building-*"):
        with contextlib.suppress(OSError), (leftover / _LOCK).open("r+") as lock:
            disk.lock(lock)
            shutil.rmtree(leftover, ignore_errors=True)
