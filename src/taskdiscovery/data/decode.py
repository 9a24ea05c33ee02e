"""Decode once: encoded images to one memory-mapped uint8 file in the cache.

The cache is keyed by content. A build is written in a temporary directory beside its final folder
and renamed when it is whole, so that a build that was interrupted, or two that ran at once, leave
nothing wrong behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image, ImageOps

from taskdiscovery.data.arrays import fingerprint, hash_images, look_for_problems
from taskdiscovery.data.listing import Listing, Reading, hash_text
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.types import BoolArray, Dataset, ImageArray

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
PIXELS_AT_MOST = 64_000_000
FORMAT_VERSION = 1
_BLOCK = 256
_LOCK = ".lock"
T = TypeVar("T")
_LOG = logging.getLogger("taskdiscovery")


def cache_dir() -> Path:
    """Where decoded images are kept: `TASKDISCOVERY_CACHE`, else `~/.cache/taskdiscovery`."""
    given = os.environ.get("TASKDISCOVERY_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "taskdiscovery"


def decode(listing: Listing, how: Reading) -> Dataset:
    """Return the decoded data set, from the cache where it is there already.

    Args:
        listing: what to decode.
        how: size, what to do about images that cannot be read, where to cache.

    Raises:
        DataError: for images that cannot be read (all are counted, twenty named), or of
            different sizes.
    """
    parts = [str(how.size), str(how.skip_bad), str(len(listing.ids)), str(FORMAT_VERSION)]
    folder = (how.cache or cache_dir()) / hash_text([listing.key, *parts])
    if not (folder / "meta.json").exists():
        try:
            _build(listing, folder, how)
        except OSError as error:
            _LOG.warning(
                "the cache cannot be written (%s), decoding to a temporary folder: %s",
                error.strerror,
                folder.parent,
            )
            folder = Path(tempfile.mkdtemp(prefix="taskdiscovery-")) / folder.name
            _build(listing, folder, how)
    meta = json.loads((folder / "meta.json").read_text("utf-8"))
    # Copy-on-write: torch takes it without a warning, and pages stay shared between processes.
    images = np.load(folder / "images.npy", mmap_mode="c")
    kept = np.load(folder / "kept.npy")
    for problem in meta["problems"]:
        _LOG.warning("%s: %s", listing.name, problem)
    ids = np.array(listing.ids, dtype=np.str_)[kept]
    labels = None if listing.labels is None else listing.labels[kept]
    attributes = listing.attributes
    if attributes is not None:
        attributes = attributes[kept].reset_index(drop=True)
    return Dataset(
        images=images,
        ids=ids,
        labels=labels,
        classes=listing.classes,
        attributes=attributes,
        name=listing.name,
        fingerprint=fingerprint(meta["pixels"], ids.tolist(), labels),
        problems=(*listing.problems, *meta["problems"]),
    )


def _build(listing: Listing, folder: Path, how: Reading) -> None:
    size, skip_bad = how.size, how.skip_bad
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(folder.parent)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    lock = (building / _LOCK).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with (
            _quiet_pillow(),
            how.callbacks.stage(f"reading {listing.name}", 2 * len(listing.ids)) as bar,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            bad: dict[int, str] = {}
            late: dict[int, str] = {}
            images = _uniform(pool, listing, building, size, bar)
            if images is None:  # look at every header first
                bad, shape = _survey(pool, listing, size, skip_bad, bar)
                images = _new(building, len(listing.ids) - len(bad), shape)
                late = _fill(pool, listing, images, bad, size, bar)
        kept = np.ones(len(listing.ids), dtype=np.bool_)
        kept[list(bad)] = False
        if late:
            _refuse(listing, late, skip_bad)
            images, kept = _drop(images, kept, late, building)
        if not kept.any():
            raise DataError("no image can be read", where=listing.name, hint="check the files")
        problems = list(look_for_problems(images, listing.name))
        if not kept.all():
            names = [listing.ids[i] for i in np.flatnonzero(~kept)[:3]]
            problems.insert(0, f"{int((~kept).sum())} images left out, e.g. {', '.join(names)}")
        np.save(building / "kept.npy", kept)
        meta = {"pixels": hash_images(images), "problems": problems}
        (building / "meta.json").write_text(json.dumps(meta), "utf-8")
        (building / _LOCK).unlink()
        _sync(building)
        try:
            building.rename(folder)
        except OSError:
            if not (folder / "meta.json").exists():  # else another process was first
                raise
        _sync(folder.parent, files=False)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        lock.close()


def _new(building: Path, count: int, shape: tuple[int, int, int]) -> ImageArray:
    return np.lib.format.open_memmap(
        building / "images.npy", mode="w+", dtype=np.uint8, shape=(count, *shape)
    )


def _uniform(
    pool: ThreadPoolExecutor, listing: Listing, building: Path, size: int | None, bar: Meter
) -> ImageArray | None:
    """Decode in one pass, as most data allows: every image is sound and of the first one's kind.

    Returns:
        The images; or None, as soon as one is not so.
    """
    first = _header(next(iter(_stream(listing)), None))
    if isinstance(first, str):
        return None
    height, width, channels = first
    if size is not None:
        height = width = size
    images = _new(building, len(listing.ids), (height, width, channels))
    others: list[int] = []

    def work(start: int, items: tuple[bytes | Path | None, ...]) -> None:
        for row, item in enumerate(items, start):
            if others:
                return
            try:
                if start + len(items) > len(images):
                    raise ValueError("there are more images than ids")
                images[row] = _pixels(item, images.shape[1:], size, expected=first)
            except Exception:  # hostile files raise errors of every kind
                others.append(row)

    pending: list[Future[None]] = []
    count = 0
    for block in _blocks(_stream(listing)):
        pending.append(pool.submit(work, count, block))
        count += len(block)
        if len(pending) > 8:
            pending.pop(0).result()
        bar.advance(2 * len(block))
        if others:
            break
    for future in pending:
        future.result()
    if others or count != len(images):
        bar.advance(-2 * count)
        return None
    return images


def _survey(
    pool: ThreadPoolExecutor, listing: Listing, size: int | None, skip_bad: bool, bar: Meter
) -> tuple[dict[int, str], tuple[int, int, int]]:
    """Look at every header; return which cannot be read and why, and the shape of the others.

    Raises:
        DataError: where images cannot be read, or are of different sizes.
    """
    headers = _map(pool, _header, listing, bar)
    bad = {i: h for i, h in enumerate(headers) if isinstance(h, str)}
    _refuse(listing, bad, skip_bad)
    shapes = Counter(h[:2] for h in headers if not isinstance(h, str))
    if len(shapes) > 1 and size is None:
        common = ", ".join(f"{w}×{h} ({n})" for (h, w), n in shapes.most_common(3))
        raise DataError(
            f"images have {len(shapes)} different sizes: {common}",
            where=listing.name,
            hint="give one with --size, e.g. --size 32",
        )
    height, width = (size, size) if size is not None else next(iter(shapes))
    channels = 1 if all(h[2] == 1 for h in headers if not isinstance(h, str)) else 3
    return bad, (height, width, channels)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Ignore what Pillow says of odd metadata: what cannot be read is reported by its file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _map(pool: ThreadPoolExecutor, work: Any, listing: Listing, bar: Meter) -> list[Any]:
    """Run `work` over all images in blocks, with few blocks in flight; results keep the order."""
    results: list[Any] = []
    pending: list[Future[list[Any]]] = []

    def collect() -> None:
        block = pending.pop(0).result()
        results.extend(block)
        bar.advance(len(block))

    for block in _blocks(_stream(listing)):
        pending.append(pool.submit(lambda items: [work(item) for item in items], block))
        if len(pending) > 8:
            collect()
    while pending:
        collect()
    return results


def _fill(
    pool: ThreadPoolExecutor,
    listing: Listing,
    images: ImageArray,
    bad: dict[int, str],
    size: int | None,
    bar: Meter,
) -> dict[int, str]:
    """Decode into `images`; return what turned out to be damaged beyond its header."""
    late: dict[int, str] = {}
    shape = images.shape[1:]

    def work(items: tuple[tuple[int, int, bytes | Path | None], ...]) -> None:
        for row, index, item in items:
            try:
                images[row] = _pixels(item, shape, size)
            except Exception as error:  # hostile files raise errors of every kind
                late[index] = first_line(error)

    def rows() -> Iterator[tuple[int, int, bytes | Path | None]]:
        row = 0
        for index, item in enumerate(_stream(listing)):
            if index not in bad:
                yield row, index, item
                row += 1

    pending: list[Future[None]] = []
    for block in _blocks(rows()):
        pending.append(pool.submit(work, block))
        if len(pending) > 8:
            pending.pop(0).result()
        bar.advance(len(block))
    for future in pending:
        future.result()
    return late


def _blocks(items: Iterator[T]) -> Iterator[tuple[T, ...]]:
    while block := tuple(islice(items, _BLOCK)):
        yield block


def _stream(listing: Listing) -> Iterator[bytes | Path | None]:
    try:
        yield from listing.stream()
    except Exception as error:  # a damaged row group shows only when it is read
        raise DataError(
            f"reading stopped: {first_line(error)}",
            where=listing.name,
            hint="check that the file is complete",
        ) from error


def _open(item: bytes | Path | None) -> Image.Image:
    if item is None:
        raise ValueError("the cell is empty")
    image = Image.open(io.BytesIO(item) if isinstance(item, bytes) else item, formats=FORMATS)
    if image.width * image.height > PIXELS_AT_MOST:
        raise ValueError(f"{image.width}×{image.height} pixels are too many")
    return image


def _header(item: bytes | Path | None) -> tuple[int, int, int] | str:
    """Return (height, width, channels) from the header, or why it cannot be read."""
    try:
        with _open(item) as image:
            return _kind(image)
    except Exception as error:  # hostile files raise errors of every kind
        return first_line(error)


def _kind(image: Image.Image) -> tuple[int, int, int]:
    width, height = image.size
    if image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8):  # turned by a quarter
        width, height = height, width
    return height, width, 1 if image.mode in ("1", "L", "I;16", "I", "F") else 3


_ORIENTATION = 0x0112


def _pixels(
    item: bytes | Path | None,
    shape: tuple[int, ...],
    size: int | None,
    expected: tuple[int, int, int] | None = None,
) -> ImageArray:
    """Decode an image; with `expected` only one of that height, width and number of channels.

    Raises:
        Exception: of many kinds, where it is damaged, or another.
    """
    with _open(item) as opened:
        if expected is not None:
            height, width, channels = _kind(opened)
            if channels != expected[2] or (size is None and (height, width) != expected[:2]):
                raise ValueError("it is of another kind than the first")
        image: Image.Image = opened
        if opened.getexif().get(_ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(opened)
        if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        if image.mode in ("I;16", "I", "F"):
            array = np.asarray(image, dtype=np.float64)
            scale = 257.0 if array.max(initial=0) > 255 else 1.0
            image = Image.fromarray(np.clip(array / scale, 0, 255).astype(np.uint8))
        mode = "L" if shape[2] == 1 else "RGB"
        if image.mode != mode:
            image = image.convert(mode)
        if size is not None and image.size != (size, size):
            image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
        return np.asarray(image, dtype=np.uint8).reshape(shape)


def _refuse(listing: Listing, bad: dict[int, str], skip_bad: bool) -> None:
    if not bad or (skip_bad and len(bad) < len(listing.ids)):
        for i, reason in list(bad.items())[:20]:
            _LOG.warning("left out %s: %s", listing.ids[i], reason)
        return
    listed = [f"{listing.ids[i]} ({reason})" for i, reason in list(bad.items())[:20]]
    raise DataError(
        f"{len(bad)} of {len(listing.ids)} images cannot be read: {'; '.join(listed)[:2000]}",
        where=listing.name,
        hint="repair or remove them, or leave them out with --skip-bad",
        files=listed,
    )


def _drop(
    images: ImageArray, kept: BoolArray, late: dict[int, str], building: Path
) -> tuple[ImageArray, BoolArray]:
    """Write the file again without the rows that turned out to be damaged."""
    rows = np.flatnonzero(kept)
    good = ~np.isin(rows, list(late))
    kept = kept.copy()
    kept[list(late)] = False
    final = np.lib.format.open_memmap(
        building / "good.npy",
        mode="w+",
        dtype=np.uint8,
        shape=(int(good.sum()), *images.shape[1:]),
    )
    chosen = np.flatnonzero(good)
    for start in range(0, len(chosen), 4096):
        final[start : start + 4096] = images[chosen[start : start + 4096]]
    final.flush()
    (building / "good.npy").replace(building / "images.npy")
    return final, kept


def _remove_leftovers(cache: Path) -> None:
    """Remove builds whose process has died: its lock is free, whatever the clock says."""
    for leftover in cache.glob(".building-*"):
        with contextlib.suppress(OSError), (leftover / _LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(leftover, ignore_errors=True)


def _sync(folder: Path, files: bool = True) -> None:
    for path in [*(folder.iterdir() if files else []), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
