"""What systems do not have in common: locks on files, and renames that last.

POSIX has `flock`, Windows locks ranges of bytes; a system that has neither goes without.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import secrets
import time
from pathlib import Path
from types import ModuleType
from typing import IO, Any

from taskdiscovery.errors import ResourceError

#: where Windows keeps its lock: far behind whatever is read, since others cannot read what is
#: locked there.
BEHIND = 2**30
#: what a directory that cannot be synced answers; anything else is a fault of the disk.
_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOSYS)


def _module(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_posix, _windows = _module("fcntl"), _module("msvcrt")


def lock(stream: IO[Any], *, wait: bool = False) -> None:
    """Lock an open file, until it is closed or its process ends, however that ends.

    Args:
        stream: open for writing; its position stays as it is.
        wait: for another process that has it.

    Raises:
        OSError: where another process has it.
    """
    if _posix is not None:
        _posix.flock(stream, _posix.LOCK_EX | (0 if wait else _posix.LOCK_NB))
    elif _windows is not None:
        while True:
            try:
                _lock_a_byte(stream.fileno(), _windows)
                return
            except OSError:
                if not wait:
                    raise
                time.sleep(0.05)


def _lock_a_byte(descriptor: int, windows: ModuleType) -> None:
    before = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, BEHIND, os.SEEK_SET)
    try:
        windows.locking(descriptor, windows.LK_NBLCK, 1)
    finally:
        os.lseek(descriptor, before, os.SEEK_SET)


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable, where the system does that (Windows does not).

    Raises:
        OSError: where the disk fails.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise
        return
    try:
        sync_open_directory(descriptor)
    finally:
        os.close(descriptor)


def sync_open_directory(descriptor: int) -> None:
    """Do as `sync_directory` with one that is open.

    Raises:
        OSError: where the disk fails.
    """
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def sync_file(path: Path) -> None:
    """Make the content of a file durable.

    Raises:
        OSError: where the disk fails.
    """
    with path.open("rb+") as stream:  # Windows syncs only what may be written
        os.fsync(stream.fileno())


def check_writable(path: Path) -> None:
    """Refuse a file that could not be written, before what goes into it is computed.

    Raises:
        ResourceError: where it is a directory, or its own directory is missing or takes no file.
    """
    problem = ""
    try:
        if path.is_dir():
            problem = "this is a directory"
        elif not path.parent.is_dir():
            problem = "there is no such directory"
        elif not takes_a_file(path.parent):
            problem = "the directory cannot be written"
    except OSError as error:  # a name that is too long, a folder that may not be entered
        problem = f"cannot write: {error.strerror or error}"
    if problem:
        place = path if path.is_dir() else path.parent
        raise ResourceError(problem, where=str(place), hint="give another file")


def takes_a_file(folder: Path) -> bool:
    """Try it: permission bits do not tell of full disks, quotas and read-only mounts."""
    # A name that nobody can foresee, and no link of that name is written through.
    probe = folder / f".probe.{secrets.token_hex(4)}.tmp"
    try:
        with probe.open("xb") as stream:
            stream.write(b"probe")
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True
