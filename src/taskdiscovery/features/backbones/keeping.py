"""Features in the cache: by content of images, network and pixels; what is stopped goes on.

While it grows, a table lies in a folder of its own, with a line for each finished block: where it
begins, and a checksum of its bytes. A block whose bytes are others is computed again, so that none
is taken that was half written; the whole is renamed to its place. One process computes at a time;
another that wants the same waits, and takes what it finds.

Axes: N images, P features.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import PIL

from taskdiscovery.data.images.cache import cache_dir
from taskdiscovery.data.images.contents import hash_images
from taskdiscovery.data.listing import hash_text
from taskdiscovery.features.backbones.asking import Asked, Plan
from taskdiscovery.runtime import disk
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Backbone, Float32, ImageArray

#: raised when the same images and backbone give other numbers.
FORMAT = 2
#: images of a block, at least: what is lost at most when a process dies.
_BLOCK = 512
_TABLE, _DONE, _LOCK, _META = "features.npy", "done", ".lock", "meta.json"
#: of what nobody goes on with, in seconds.
_OLD = 30 * 86_400
_GROWING = ".embedding-"
_LOG = logging.getLogger("taskdiscovery")


def kept(
    images: ImageArray,
    backbone: Backbone,
    plan: Plan,
    load: Callable[[], Asked],
    callbacks: Callbacks | None = None,
    cache: Path | None = None,
) -> Float32:
    """Return (N, P) features from the cache, computed where they are not there.

    Args:
        images: (N, H, W, channels) uint8.
        backbone: which network.
        plan: how it is asked.
        load: loads it, where it is needed.
        callbacks: told of progress.
        cache: where features are kept.

    Raises:
        KeyboardInterrupt: saying that finished blocks are kept.
        TaskDiscoveryError: as `Asked`.
    """
    made = json.dumps(backbone.to_json(), sort_keys=True)
    parts = [hash_images(images), made, plan.precision, str(FORMAT), PIL.__version__]
    folder = (cache or cache_dir()) / hash_text(["features", *parts])
    callbacks = callbacks or Callbacks()
    if not (folder / _META).exists():
        try:
            _build(images, folder, load, callbacks)
        except OSError as error:
            _LOG.warning(
                "the cache cannot be written (%s), features go to a temporary folder: %s",
                error.strerror,
                folder.parent,
            )
            folder = Path(tempfile.mkdtemp(prefix="taskdiscovery-")) / folder.name
            _build(images, folder, load, callbacks)
        except KeyboardInterrupt as error:
            error.args = ("what is finished is kept: the same command goes on from there",)
            raise
    # Copy-on-write, as decoded images are: torch takes it without a warning.
    features: Float32 = np.load(folder / _TABLE, mmap_mode="c")
    return features


def _build(
    images: ImageArray, folder: Path, load: Callable[[], Asked], callbacks: Callbacks
) -> None:
    """Compute what is missing of a table, and move it to its place.

    Raises:
        OSError: where it cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_old(folder.parent)
    growing = folder.parent / f"{_GROWING}{folder.name}"
    with _alone(growing):
        if (folder / _META).exists():  # another process was first
            return
        network = load()
        with Growing.opened(growing, (len(images), network.width)) as table:
            _fill(table, images, network, callbacks)
        try:
            (growing / _META).write_text(json.dumps(network.backbone.to_json()), "utf-8")
            (growing / _DONE).unlink()
            for path in growing.iterdir():
                disk.sync_file(path)
            growing.rename(folder)
        except OSError:
            if not (folder / _META).exists():  # else another process was first, after all
                raise
        disk.sync_directory(folder.parent)


def _fill(table: Growing, images: ImageArray, network: Asked, callbacks: Callbacks) -> None:
    """Compute the blocks of a table that are not finished."""
    N, batch = len(images), network.batch
    size = batch * -(-_BLOCK // batch)
    finished = table.finished(size)
    with callbacks.stage(f"features of {network.backbone}", N) as bar:
        if finished:
            done = sum(min(size, N - start) for start in finished)
            _LOG.info("%d of %d images were finished before", done, N)
            bar.advance(done)
        missing = [start for start in range(0, N, size) if start not in finished]
        starts = (i for start in missing for i in range(start, min(start + size, N), batch))
        parts: list[Float32] = []
        for start, part in network.blocks(images, starts):
            parts.append(part)
            bar.advance(len(part))
            end = start + len(part)
            if end == N or end % size == 0:
                table.write(start // size * size, np.concatenate(parts))
                parts = []


class Growing:
    """A table that is written a block at a time, and knows which blocks are whole.

    Args:
        table: the file, open for reading and writing.
        done: a line for each block, open for appending.
        shape: (N, P).
        offset: of the first number in the file.
    """

    def __init__(self, table: IO[bytes], done: IO[str], shape: tuple[int, int]) -> None:
        self.table, self.done, self.shape = table, done, shape
        self.offset = _header(table)

    @classmethod
    @contextlib.contextmanager
    def opened(cls, folder: Path, shape: tuple[int, int]) -> Iterator[Growing]:
        """Open what is there, or begin."""
        path, done = folder / _TABLE, folder / _DONE
        if not _is_table(path, shape):
            done.unlink(missing_ok=True)
            with path.open("wb") as stream:
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(stream, header)
                stream.truncate(stream.tell() + 4 * shape[0] * shape[1])
        with path.open("r+b") as table, done.open("a+", encoding="ascii") as lines:
            yield cls(table, lines, shape)
            table.flush()

    def finished(self, size: int) -> set[int]:
        """Return where whole blocks of a size begin.

        Each is held against its checksum, wherever the process that wrote it has died.
        """
        N, P = self.shape
        self.done.seek(0)
        found = set()
        for line in self.done.read().splitlines():
            words = line.split()
            if len(words) != 3 or not all(word.isdigit() for word in words):
                continue
            start, count, checksum = map(int, words)
            if start % size or start >= N or count != min(size, N - start):
                continue
            self.table.seek(self.offset + 4 * P * start)
            if zlib.crc32(self.table.read(4 * P * count)) == checksum:
                found.add(start)
        return found

    def write(self, start: int, block: Float32) -> None:
        """Write a block, and then that it is whole."""
        content = np.ascontiguousarray(block, dtype="<f4").tobytes()
        self.table.seek(self.offset + 4 * self.shape[1] * start)
        self.table.write(content)
        self.table.flush()
        # A line that was torn off ends here.
        self.done.write(f"\n{start} {len(block)} {zlib.crc32(content)}\n")
        self.done.flush()


def _header(table: IO[bytes]) -> int:
    """Return where the numbers begin."""
    table.seek(0)
    np.lib.format.read_magic(table)
    np.lib.format.read_array_header_1_0(table)
    return table.tell()


def _is_table(path: Path, shape: tuple[int, int]) -> bool:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return found.shape == shape and found.dtype == np.float32


@contextlib.contextmanager
def _alone(growing: Path) -> Iterator[None]:
    """Have no other process grow the same table meanwhile.

    Where a file system has no locks two may do so: they write the same bytes to the same places.
    """
    path = growing.parent / f"{growing.name}{_LOCK}"
    with contextlib.ExitStack() as stack:
        while True:
            lock = stack.enter_context(path.open("w"))
            with contextlib.suppress(OSError):
                _wait_for(lock)
            # Who had it may have removed it with its table.
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
                break
        growing.mkdir(exist_ok=True)
        os.utime(growing)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                growing.rmdir()  # where it is empty
            if not growing.exists():
                with contextlib.suppress(OSError):  # Windows removes nothing that is open
                    path.unlink()


def _wait_for(lock: IO[str]) -> None:
    try:
        disk.lock(lock)
    except OSError:
        _LOG.info("another process computes the same features: waiting for it")
        disk.lock(lock, wait=True)


def _remove_old(cache: Path) -> None:
    """Remove what was begun long ago, and what nobody has gone on with."""
    for growing in cache.glob(f"{_GROWING}*"):
        with contextlib.suppress(OSError):
            if time.time() - growing.stat().st_mtime > _OLD:
                if growing.is_dir():
                    shutil.rmtree(growing)
                else:
                    growing.unlink()
