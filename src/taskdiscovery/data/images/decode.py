"""Decode once: encoded images to one memory-mapped uint8 file in the cache.

One decoder for every reader that sees bytes, so that the same file gives the same pixels however it
was found. Beside the pixels the cache keeps facts of the files.
"""

from __future__ import annotations

import json
import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from taskdiscovery.data.images import facttable
from taskdiscovery.data.images.cache import building, cache_dir, folder_of
from taskdiscovery.data.images.canvas import Filled
from taskdiscovery.data.images.contents import fingerprint, hash_images, look_for_problems
from taskdiscovery.data.images.passes import fill, uniform
from taskdiscovery.data.images.refusing import drop, left_out, refuse
from taskdiscovery.data.images.resizing import border_problem
from taskdiscovery.data.images.scale import range_text, scale_problems
from taskdiscovery.data.images.survey import survey
from taskdiscovery.data.images.work import Work, quiet_pillow
from taskdiscovery.data.labels.columns import labels_kept
from taskdiscovery.data.listing import Listing, Reading
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.hardware import cpu_cores
from taskdiscovery.types import BoolArray, Dataset, Document

__all__ = ["cache_dir", "decode"]

_LOG = logging.getLogger("taskdiscovery")


def decode(listing: Listing, how: Reading) -> Dataset:
    """Return the decoded data set, from the cache where it is there already.

    Args:
        listing: what to decode.
        how: size, fit and range, what to do about images that cannot be read, where to cache.

    Raises:
        DataError: for images that cannot be read (all are counted, twenty named), of different
            sizes, or with values that would have to be guessed at.
    """
    folder = folder_of(listing, how)
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
    labels, classes = labels_kept(listing.labels, listing.classes, kept)
    attributes = listing.attributes
    if attributes is not None:
        attributes = attributes[kept].reset_index(drop=True)
    return Dataset(
        images=images,
        ids=ids,
        labels=labels,
        classes=classes,
        attributes=attributes,
        name=listing.name,
        fingerprint=fingerprint(meta["pixels"], ids.tolist(), labels),
        problems=(*listing.problems, *meta["problems"]),
        notes=tuple(meta["notes"]),
        size=how.size,
        fit=how.fit,
        range=None if meta["range"] is None else (meta["range"][0], meta["range"][1]),
        facts_parquet=(folder / "facts.parquet").read_bytes(),
    )


def _build(listing: Listing, folder: Path, how: Reading) -> None:
    """Decode into a folder of the cache: images, which were kept, facts, and what to tell."""
    with (
        building(folder) as place,
        quiet_pillow(),
        how.callbacks.stage(f"reading {listing.name}", 2 * len(listing.ids)) as bar,
        ThreadPoolExecutor(cpu_cores()) as pool,
    ):
        _decode(Work(listing=listing, how=how, place=place, pool=pool, bar=bar))


def _decode(work: Work) -> None:
    """Decode all images; when this returns, none of the files is open."""
    listing, how = work.listing, work.how
    kept = np.ones(len(listing.ids), dtype=np.bool_)
    filled = uniform(work)
    if filled is None:
        seen = survey(work)
        kept[list(seen.bad)] = False
        filled = fill(work, seen)
    good = ~np.isin(np.flatnonzero(kept), list(filled.late))
    if filled.late:
        refuse(listing, filled.late, how.skip_bad)
        filled.images = drop(filled.images, good, work.place)
        kept[list(filled.late)] = False
    if not kept.any():
        raise DataError("no image can be read", where=listing.name, hint="check the files")
    _write(work, filled, kept, good)


def _write(work: Work, filled: Filled, kept: BoolArray, good: BoolArray) -> None:
    """Write what stands beside the images.

    Args:
        work: the images and how they were read.
        filled: what was decoded.
        kept: which of all images are in the data set.
        good: which of those that were decoded.
    """
    listing, how = work.listing, work.how
    table = facttable.table_of(filled.facts, good)
    problems = (
        *left_out(listing, kept),
        *look_for_problems(filled.images, listing.name),
        *scale_problems(filled.clipped, filled.dark, filled.range),
        *border_problem(facttable.uneven(table), how.size, how.fit),
    )
    notes = facttable.notes_of(table)
    if filled.range is not None:
        notes += (f"images of more than 8 bits: {range_text(filled.range)} became 0 to 255",)
    for remark, count in sorted(filled.remarks.items()):
        notes += (f"{count} images {remark}",)
    meta: Document = {"pixels": hash_images(filled.images), "problems": problems, "notes": notes}
    meta["range"] = filled.range if filled.range is not None else how.range
    np.save(work.place / "kept.npy", kept)
    (work.place / "facts.parquet").write_bytes(facttable.to_parquet(table))
    (work.place / "meta.json").write_text(json.dumps(meta), "utf-8")
