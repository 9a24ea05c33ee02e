"""What every reader of encoded images gives: a listing, and a stream of the images in its order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import IntArray

if TYPE_CHECKING:
    import pandas as pd


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
    stream: Callable[[], Iterator[bytes | Path | None]]
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    attributes: pd.DataFrame | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How data is read.

    Attributes:
        size: scale the shorter side to `size` and crop the centre; None to take images as they
            are, all of one size.
        skip_bad: leave out what cannot be read, and say so in `problems`.
        cache: where decoded images are kept; None for the default.
        callbacks: told of progress.
    """

    size: int | None = None
    skip_bad: bool = False
    cache: Path | None = None
    callbacks: Callbacks = field(default_factory=Callbacks)


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
