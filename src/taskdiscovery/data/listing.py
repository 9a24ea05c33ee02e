"""What every reader of encoded images gives: a listing, and a stream of the images in its order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from taskdiscovery.config.options import check_fit, pair
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Document, IntArray

if TYPE_CHECKING:
    import pandas as pd

#: an encoded image: its bytes, or the file to read them from; None where a cell is empty.
Source: TypeAlias = bytes | Path | None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Encoded images and what is known of them, before anything is decoded.

    Attributes:
        name: the DATA specification.
        key: hash of the content, so that the decoded cache is never stale.
        ids: distinct image ids.
        stream: yields each image's encoded bytes, or the path to read them from, in order.
        labels, classes, attributes: as in `Dataset`.
        problems: what the listing found worth telling.
    """

    name: str
    key: str
    ids: Sequence[str]
    stream: Callable[[], Iterator[Source]]
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    attributes: pd.DataFrame | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How data is read.

    Attributes:
        size: make images `size` x `size`; None to take them as they are, all of one size.
        fit: how: `crop` scales the shorter side and crops the centre, `pad` scales the longer side
            and fills up with grey, `squash` scales both.
        range: the values that become 0 and 255 in images of more than eight bits; None for what
            the data set itself says.
        skip_bad: leave out what cannot be read, and say so in `problems`.
        missing: texts that stand for a missing value.
        cache: where decoded images are kept; None for the default.
        callbacks: told of progress.

    Raises:
        ConfigError: for a fit or a range that is none.
    """

    size: int | None = None
    fit: str = "crop"
    range: tuple[float, float] | None = None
    skip_bad: bool = False
    missing: tuple[str, ...] = ()
    cache: Path | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)

    def __post_init__(self) -> None:
        check_fit(self.fit, self.size)
        if self.range is not None:
            object.__setattr__(self, "range", pair(self.range, "--range"))

    @property
    def pixels(self) -> Document:
        """What `from_arrays` and `from_torch` take of it, by the names of their parameters."""
        return {"size": self.size, "fit": self.fit, "range": self.range}


def stamps(files: Sequence[str], paths: Sequence[Path]) -> Iterator[str]:
    """Yield what tells one state of each file from any other, of itself and of other files."""
    folders: dict[Path, str] = {}
    for file, path in zip(files, paths, strict=True):
        yield f"{file}\1{stamp(path, folders)}"


def stamp(path: Path, folders: dict[Path, str]) -> str:
    """Return what tells one state of a file from any other, of itself and of other files.

    A file that is written anew has another time of change, whatever its time of modification was
    set to; two files at once have other inodes or devices, and other places.

    Args:
        path: of the file.
        folders: where folders really are, as far as that is known; is added to.
    """
    parent = path.parent
    if parent not in folders:
        folders[parent] = os.path.realpath(parent)
    stat = os.stat(path)
    state = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return "\1".join([os.path.join(folders[parent], path.name), *map(str, state)])


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_text(parts: Iterable[str]) -> str:
    """SHA-256 over a sequence of texts, whatever characters they hold."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()


def printable(name: str) -> str:
    """Turn a file name into valid Unicode; bytes that are not UTF-8 are written as `\\xNN`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def distinct(ids: Sequence[str]) -> list[str]:
    """Append `~2`, `~3`, … to ids that occur more than once."""
    seen: dict[str, int] = {}
    result = []
    for name in ids:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}~{seen[name]}")
    return result
