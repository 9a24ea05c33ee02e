"""The one place that opens what lies in a directory of ours: a run, or a part of it.

A run directory may come from a stranger, and a link in it may lead anywhere. So names are walked
one folder at a time, each opened within the one before, and no link is followed on the way or at
the end; what is read or written is a regular file that no other name leads to. Where the system
cannot open within an open folder (Windows), each step is looked at before it is taken.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from taskdiscovery.errors import RunDirError
from taskdiscovery.runtime import disk

TEMPORARY = ".tmp"
_WITHIN = {os.open, os.stat, os.mkdir, os.rename, os.unlink, os.rmdir} <= os.supports_dir_fd
_CLOSED = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# A FIFO without a writer would be waited for.
_AS_IT_IS = _CLOSED | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_WRITING = os.O_WRONLY | os.O_RDWR
#: files of so many bytes, of which the disk has a thousandth, were not written by us.
_LARGE, _HOLLOW = 2**24, 1000
_FOLDER = os.O_RDONLY | _CLOSED | getattr(os, "O_DIRECTORY", 0)


@dataclass(frozen=True)
class _Folder:
    """A folder that is open; or without a descriptor its path, where the system has none."""

    path: Path
    descriptor: int | None

    def at(self, step: str) -> str:
        return step if self.descriptor is not None else str(self.path / step)

    def kind(self, step: str) -> int:
        """Return the mode of what stands there, of a link its own; 0 for nothing."""
        try:
            return os.stat(self.at(step), dir_fd=self.descriptor, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return 0

    def opened(self, step: str, flags: int) -> int:
        """Open a regular file.

        Raises:
            RunDirError: where it is something else, or has other names.
            OSError: as `os.open`.
        """
        kind = self.kind(step)
        if kind and not stat.S_ISREG(kind):
            raise _refused(self.path / step, kind)
        try:
            found = os.open(self.at(step), flags | _AS_IT_IS, 0o666, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):  # a link that came between
                raise _refused(self.path / step, stat.S_IFLNK) from error
            raise
        try:
            _check_opened(os.fstat(found), self.path / step, bool(flags & _WRITING))
        except BaseException:
            os.close(found)
            raise
        return found


class Place:
    """A directory whose files are opened so that nothing outside is ever reached.

    Names are texts with `/` between folders, relative to the directory.

    Args:
        root: path of a directory, named by the caller, so that a link to it is followed.
        way: the folders that lead from there to this one, which need not exist.
    """

    def __init__(self, root: Path, way: tuple[str, ...] = ()) -> None:
        self._root, self._way = root, way

    def __repr__(self) -> str:
        return f"<Place {self.path}>"

    @property
    def path(self) -> Path:
        """Of the directory, for messages; what lies in it is not to be opened by its path."""
        return self._root.joinpath(*self._way)

    def inside(self, name: str) -> Place:
        """Return the place of a folder within."""
        return Place(self._root, (*self._way, *_steps(name)))

    def within(self, name: str) -> Path:
        """Return the path of a name, for messages; it is not to be opened.

        Raises:
            RunDirError: for a name that leads out.
        """
        return self.path.joinpath(*_steps(name))

    # --- looking ---

    def has(self, name: str) -> bool:
        """Say whether anything stands there, be it a link that leads nowhere."""
        try:
            with self._parent(name) as (folder, step):
                return bool(folder.kind(step))
        except (FileNotFoundError, NotADirectoryError):
            return False

    def names(self) -> list[str]:
        """Return what stands in the directory, sorted; nothing where it is not there.

        Raises:
            RunDirError: where it is a link or no folder.
        """
        try:
            with self._folder(()) as folder:
                place = folder.path if folder.descriptor is None else folder.descriptor
                return sorted(os.listdir(place))
        except FileNotFoundError:
            return []

    def read(self, name: str, *, most: int) -> bytes:
        """Return the content of a file.

        Args:
            name: of the file.
            most: bytes; a larger file is refused before it is read.

        Raises:
            FileNotFoundError: where there is none.
            RunDirError: where it is no regular file, or larger.
            OSError: where it cannot be read.
        """
        with self.stream(name) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > most:
                raise RunDirError(
                    f"the file has {size:,} bytes, where at most {most:,} are read",
                    where=str(self.within(name)),
                    hint="restore the file",
                )
            return stream.read(most)

    def size(self, name: str) -> int:
        """Return the bytes of a file; errors as of `stream`."""
        with self.stream(name) as stream:
            return os.fstat(stream.fileno()).st_size

    def tail(self, name: str, most: int) -> bytes:
        """Return the end of a file, at most so many bytes; errors as of `stream`."""
        with self.stream(name) as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - most))
            return stream.read(most)

    def digest(self, name: str) -> tuple[int, str]:
        """Return the size of a file in bytes, and its SHA-256; errors as of `stream`."""
        with self.stream(name) as stream:
            size = os.fstat(stream.fileno()).st_size
            return size, hashlib.file_digest(stream, "sha256").hexdigest()

    @contextlib.contextmanager
    def stream(self, name: str) -> Iterator[io.BufferedReader]:
        """Open a file for reading.

        Raises:
            FileNotFoundError: where there is none.
            RunDirError: where it is no regular file.
            OSError: where it cannot be read.
        """
        with self._parent(name) as (folder, step):
            descriptor = folder.opened(step, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as stream:
            yield stream

    # --- writing ---

    @contextlib.contextmanager
    def atomic(self, name: str) -> Iterator[BinaryIO]:
        """Open a file for writing that replaces `name` only when the block ends without an error.

        It is written under a temporary name in the same folder, synced and renamed, and the folder
        synced. What stood there is replaced and not written through, a link too.

        Raises:
            RunDirError: where a folder on the way is a link.
            OSError: where it cannot be written.
        """
        with self._parent(name) as (folder, step):
            temporary = f".{step}.{secrets.token_hex(4)}{TEMPORARY}"
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with os.fdopen(folder.opened(temporary, flags), "wb") as stream:
                    yield stream
                    stream.flush()
                    os.fsync(stream.fileno())
                _rename(folder, temporary, folder, step)
                _sync(folder)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(folder.at(temporary), dir_fd=folder.descriptor)
                raise

    def append(self, name: str, content: bytes) -> None:
        """Write behind what is in a file, which is made where it is not there; not synced.

        Raises:
            RunDirError: where it is no regular file, or has other names.
            OSError: where it cannot be written.
        """
        with self._parent(name) as (folder, step):
            descriptor = folder.opened(step, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "ab") as stream:
            stream.write(content)

    def lock(self, name: str, words: str) -> BinaryIO:
        """Take the lock of a file, and write in it whose it is; let go by closing what is returned.

        The lock is the system's: it is gone with its owner, whatever the clock says.

        Raises:
            BlockingIOError: where another process has it; `filename` says what that has written.
            RunDirError: where it is no regular file, or has other names.
            OSError: where it cannot be written.
        """
        with self._parent(name) as (folder, step):
            descriptor = folder.opened(step, os.O_RDWR | os.O_CREAT)
        stream: BinaryIO = os.fdopen(descriptor, "r+b")
        try:
            try:
                disk.lock(stream)
            except OSError as error:
                owner = stream.read(100).decode("utf-8", "replace").strip()
                raise BlockingIOError(errno.EAGAIN, "locked", owner) from error
            stream.truncate(0)
            stream.write(words.encode("utf-8", "backslashreplace"))
            stream.flush()
        except BaseException:
            stream.close()
            raise
        return stream

    def make(self, *, durable: bool = True) -> None:
        """Make the directory, if it is not there and the one that it lies in is.

        Args:
            durable: sync the one that it lies in; what is renamed later need not be.

        Raises:
            RunDirError: where a link or a file stands there.
            OSError: where it cannot be made.
        """
        if not self._way:
            self._root.mkdir(exist_ok=True)
            return
        with Place(self._root, self._way[:-1])._parent(self._way[-1]) as (folder, step):
            kind = folder.kind(step)
            if kind and not stat.S_ISDIR(kind):
                raise _refused(folder.path / step, kind, "folder")
            if not kind:
                os.mkdir(folder.at(step), dir_fd=folder.descriptor)
                if durable:
                    _sync(folder)

    def rename(self, old: str, new: str) -> None:
        """Give a file or folder another name, in whatever folder; and sync that folder."""
        with self._parent(old) as (before, step), self._parent(new) as (after, final):
            _rename(before, step, after, final)
            _sync(after)

    def remove(self, name: str) -> None:
        """Remove a file, or a link and not what it leads to; nothing where there is none."""
        with contextlib.suppress(FileNotFoundError), self._parent(name) as (folder, step):
            os.unlink(folder.at(step), dir_fd=folder.descriptor)

    def remove_itself(self) -> bool:
        """Remove the directory if it is empty; say whether it is gone."""
        try:
            if not self._way:
                self._root.rmdir()
                return True
            with Place(self._root, self._way[:-1])._parent(self._way[-1]) as (folder, step):
                os.rmdir(folder.at(step), dir_fd=folder.descriptor)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    # ---

    @contextlib.contextmanager
    def _parent(self, name: str) -> Iterator[tuple[_Folder, str]]:
        """Open the folder that a name lies in; yield it, and the last step."""
        *way, last = _steps(name)
        with self._folder(tuple(way)) as folder:
            yield folder, last

    @contextlib.contextmanager
    def _folder(self, way: tuple[str, ...]) -> Iterator[_Folder]:
        """Walk to a folder, step by step.

        Raises:
            FileNotFoundError: where one is missing.
            RunDirError: where one is a link, or no folder.
        """
        with contextlib.ExitStack() as opened:
            folder = _Folder(self._root, os.open(self._root, _FOLDER) if _WITHIN else None)
            if folder.descriptor is not None:
                opened.callback(os.close, folder.descriptor)
            for step in (*self._way, *way):
                kind = folder.kind(step)
                if kind and not stat.S_ISDIR(kind):
                    raise _refused(folder.path / step, kind, "folder")
                inner = None
                if folder.descriptor is not None:
                    inner = os.open(step, _FOLDER | _AS_IT_IS, dir_fd=folder.descriptor)
                    opened.callback(os.close, inner)
                folder = _Folder(folder.path / step, inner)
            yield folder


def _check_opened(now: os.stat_result, path: Path, writing: bool) -> None:
    """Refuse what was opened and is not to be read, or not to be written through.

    Raises:
        RunDirError: for what is no regular file, claims to be far larger than it is, or has another
            name that a write would reach.
    """
    if not stat.S_ISREG(now.st_mode):
        raise _refused(path, now.st_mode)
    if writing and now.st_nlink > 1:
        raise RunDirError(
            "this file has another name elsewhere, and is not written to",
            where=str(path),
            hint="replace it by a copy",
        )
    on_disk = getattr(now, "st_blocks", now.st_size) * 512
    if now.st_size > _LARGE and now.st_size > _HOLLOW * on_disk:
        raise RunDirError(
            f"the file claims {now.st_size:,} bytes, and has {on_disk:,} on disk",
            where=str(path),
            hint="restore the file",
        )


def _steps(name: str) -> tuple[str, ...]:
    """Return the steps of a name.

    Raises:
        RunDirError: where it is absolute, empty, leads up, or has a NUL.
    """
    steps = tuple(name.split("/"))
    odd = {"", ".", ".."} & set(steps) or "\0" in name
    if odd or (os.name == "nt" and set(name) & set(':\\<>|"?*')):
        raise RunDirError(
            f"{name!r} does not name a file of the run", hint="restore the file that names it"
        )
    return steps


def _refused(path: Path, kind: int, wanted: str = "regular file") -> RunDirError:
    what = "a link" if stat.S_ISLNK(kind) else "no " + wanted
    return RunDirError(
        f"this is {what}: links and special files in a run are never followed or read",
        where=str(path),
        hint=f"put the {wanted.split()[-1]} itself there, or remove it",
    )


def _rename(before: _Folder, old: str, after: _Folder, new: str) -> None:
    os.replace(
        before.at(old), after.at(new), src_dir_fd=before.descriptor, dst_dir_fd=after.descriptor
    )


def _sync(folder: _Folder) -> None:
    if folder.descriptor is None:
        disk.sync_directory(folder.path)
    else:
        disk.sync_open_directory(folder.descriptor)
