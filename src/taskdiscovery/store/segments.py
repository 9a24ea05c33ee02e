"""Finished work, each piece written once: `checkpoints/finished-000012.safetensors`.

A checkpoint names the segments that it needs. What was finished since the last one goes into a new
segment, which is never changed: a job of thousands of pieces does not write all of them again with
each. Of every level eight segments are merged into one of the next, so that there are few files,
and a piece is written again once a level. Only files are made, renamed and removed: that works on
network disks as on others.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.encoders.files import metadata_of
from taskdiscovery.errors import TaskDiscoveryError, first_line
from taskdiscovery.runtime.budget import room
from taskdiscovery.store import manifest
from taskdiscovery.store.place import Place
from taskdiscovery.store.writing import resources
from taskdiscovery.types import Record

#: so many segments of a level become one of the next.
MERGED = 8
_NAME = re.compile(r"finished-\d{6,9}\.safetensors", re.ASCII)
_BORDER = "\x1f"  # between the key of a piece of work and the name of its array
_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One file of finished work.

    Attributes:
        name: of the file.
        level: how many times its work was merged.
        bytes, sha256: of its content.
    """

    name: str
    level: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class _Part:
    """What a segment holds: keys to be forgotten by their beginnings, then work to be added."""

    forget: tuple[str, ...]
    records: Mapping[str, Record]


class Finished:
    """The finished work of a job, in memory and in its segments.

    Args:
        place: where the segments lie.
    """

    def __init__(self, place: Place) -> None:
        self.records: dict[str, Record] = {}
        self._place = place
        #: each with the keys that it was written with, and what it says is to be forgotten.
        self._segments: list[tuple[Segment, tuple[str, ...], tuple[str, ...]]] = []
        self._new: dict[str, Record] = {}
        self._forget: list[str] = []
        self._number = 0

    def add(self, key: str, record: Record, forget: str = "") -> None:
        """Enter a piece of work; what begins with `forget` is no longer needed."""
        if forget:
            self._forget.append(forget)
            for known in (self.records, self._new):
                for old in [name for name in known if name.startswith(forget)]:
                    del known[old]
        self.records[key] = self._new[key] = record

    def commit(self) -> list[dict[str, Any]]:
        """Write what is new, and return what a checkpoint says of all of it.

        Raises:
            ResourceError: where it cannot be written.
        """
        if self._new or self._forget:
            self._drop()
            forget = tuple(dict.fromkeys(self._forget))
            self._enter(_Part(forget=forget, records=self._new), 0)
            self._new, self._forget = {}, []
            self._merge()
        return [asdict(segment) for segment, *_ in self._segments]

    def load(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Read the segments of a checkpoint.

        One that is damaged is left out with a warning: its work is done again, and gives the same.
        """
        self._number = self._last()
        if len(entries) > len(set(segments_in(self._place))):
            raise ValueError("it needs more segments than there are")
        for entry in entries:
            segment = Segment(**entry)
            try:
                part = self._read(segment)
            except Exception as error:  # hostile files raise errors of every kind
                why = error.what if isinstance(error, TaskDiscoveryError) else first_line(error)
                _LOG.warning("%s is damaged (%s), its work is done again", segment.name, why)
                continue
            self._segments.append((segment, tuple(part.records), part.forget))
            for beginning in part.forget:
                for old in [name for name in self.records if name.startswith(beginning)]:
                    del self.records[old]
            self.records |= part.records

    def tidy(self, *kept: Sequence[Mapping[str, Any]]) -> None:
        """Remove the segments that none of these checkpoints needs."""
        needed = {str(entry["name"]) for entries in kept for entry in entries}
        for name in segments_in(self._place):
            if name not in needed:
                with contextlib.suppress(OSError):
                    self._place.remove(name)

    def _drop(self) -> None:
        """Leave out segments whose work is all forgotten; what they make forgotten stays so."""
        kept = []
        for segment, keys, forget in self._segments:
            if any(key in self.records for key in keys):
                kept.append((segment, keys, forget))
            else:
                self._forget = [*forget, *self._forget]
        self._segments = kept

    def _merge(self) -> None:
        """Make one of eight, as long as there are eight of the level of the last one."""
        while True:
            level = self._segments[-1][0].level
            own = [found for found in self._segments if found[0].level == level]
            if len(own) < MERGED:
                return
            forget = dict.fromkeys(beginning for *_, found in own for beginning in found)
            keys = (key for _, found, _ in own for key in found)
            records = {key: self.records[key] for key in keys if key in self.records}
            del self._segments[-len(own) :]
            self._enter(_Part(forget=tuple(forget), records=records), level + 1)

    def _enter(self, part: _Part, level: int) -> None:
        segment = self._write(part, level)
        self._segments.append((segment, tuple(part.records), part.forget))

    def _last(self) -> int:
        """Return the number of the last segment that lies there, needed or not."""
        return max((int(name[9:-12]) for name in segments_in(self._place)), default=0)

    def _write(self, part: _Part, level: int) -> Segment:
        from safetensors.numpy import save as to_bytes

        arrays: dict[str, NDArray[Any]] = {
            f"{key}{_BORDER}{name}": np.asarray(array, order="C")
            for key, record in part.records.items()
            for name, array in record.arrays.items()
        }
        document = {
            "forget": part.forget,
            "finished": {key: dict(record.values) for key, record in part.records.items()},
        }
        content = to_bytes(arrays, {"segment": json.dumps(document)})
        self._number = 1 + (self._number or self._last())
        name = f"finished-{self._number:06d}.safetensors"
        with resources(self._place.path):
            self._place.make()
            with self._place.atomic(name) as stream:
                stream.write(content)
        size, digest = manifest.measured(content)
        return Segment(name=name, level=level, bytes=size, sha256=digest)

    def _read(self, segment: Segment) -> _Part:
        """Read a segment.

        Raises:
            ValueError: where it is not as it was written.
            Exception: of many kinds, for a hostile one.
        """
        from safetensors.numpy import load as from_bytes

        if not _NAME.fullmatch(segment.name):
            raise ValueError("it is no name of a segment")
        content = self._place.read(segment.name, most=room())
        found = manifest.differs(asdict(segment), *manifest.measured(content))
        if found is not None:
            raise ValueError(found)
        arrays = from_bytes(content)
        document = metadata_of(content, "segment")
        by_key: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            key, own = name.split(_BORDER)
            by_key.setdefault(key, {})[own] = array
        return _Part(
            forget=tuple(map(str, document["forget"])),
            records={
                key: Record(values=values, arrays=by_key.get(key, {}))
                for key, values in document["finished"].items()
            },
        )


def segments_in(place: Place) -> Iterator[str]:
    """Yield the names of all segments there."""
    return filter(_NAME.fullmatch, place.names())
