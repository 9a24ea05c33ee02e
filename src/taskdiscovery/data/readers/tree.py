"""Walking through folders of images: what is an image, what is no data, where links may lead."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import features

from taskdiscovery.data.listing import printable
from taskdiscovery.errors import DataError

#: torchvision's IMG_EXTENSIONS, and what else Pillow reads.
ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".gif", ".jfif", ".jpe"),
    *(
        ending
        for ending, codec in ((".avif", "avif"), (".jp2", "jpg_2000"))
        if codec in (features.modules | features.codecs) and features.check(codec)
    ),
)
#: what systems and archives leave behind; so do names with a dot in front.
_LEFT_BEHIND = ("__macosx", "thumbs.db", "desktop.ini")


@dataclass(eq=False)
class Tree:
    """Image files under a folder.

    Attributes:
        root: the folder.
        hidden: how many files were passed over, by the hidden name that they have or lie in.
        others: how many files are no images, by their ending.
    """

    root: Path
    hidden: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._real = os.path.realpath(self.root)
        self._blobs = _blobs_of(self._real)

    def files(self) -> Iterator[str]:
        """Yield image files relative to the root; each real directory is entered once.

        Raises:
            DataError: for a link out of the root.
        """
        seen = {self._real}
        pending = [""]
        while pending:
            folder = pending.pop()
            with os.scandir(self.root / folder) as entries:
                for entry in sorted(entries, key=lambda e: e.name, reverse=True):
                    relative = os.path.join(folder, entry.name)
                    if is_hidden(entry.name):
                        self.hidden[_kind(entry.name)] += _count(entry)
                        continue
                    self._check(entry, relative)
                    if _is(entry.is_dir):
                        real = os.path.realpath(entry.path)
                        if real not in seen:
                            seen.add(real)
                            pending.append(relative)
                    elif _is(entry.is_file):
                        if entry.name.lower().endswith(ENDINGS):
                            yield relative
                        else:
                            self.others[os.path.splitext(entry.name)[1].lower()] += 1

    @property
    def problems(self) -> tuple[str, ...]:
        """What was passed over, for all files that have been yielded."""
        found = []
        if count := self.others.total():
            found.append(f"{count} {_files(count)} of other kinds skipped{_listed(self.others)}")
        if count := self.hidden.total():
            found.append(f"{count} hidden {_files(count)} skipped{_listed(self.hidden)}")
        return tuple(found)

    def _check(self, entry: os.DirEntry[str], relative: str) -> None:
        """Refuse a link out of the root, but into the store of the Hugging Face hub around it."""
        if not entry.is_symlink():
            return
        target = os.path.realpath(entry.path)
        if not _inside(target, self._real) and not (self._blobs and _inside(target, self._blobs)):
            raise DataError(
                f"the link {printable(relative)!r} leads out of the folder",
                where=str(self.root),
                hint="replace it by the files themselves, or list them in a csv: table",
            )


def is_hidden(name: str) -> bool:
    """Say whether a file or folder of this name is no data."""
    return name.startswith(".") or name.lower() in _LEFT_BEHIND


def _blobs_of(root: str) -> str | None:
    """Return the folder that the hub's cache links to from a snapshot, where the root is in one.

    In `models--x/snapshots/hash/file -> ../../blobs/sha`, it is the one beside `snapshots`.
    """
    parts = root.split(os.sep)
    for i in range(len(parts) - 1, 0, -1):
        if parts[i] == "snapshots":
            return os.sep.join([*parts[:i], "blobs"])
    return None


def _kind(name: str) -> str:
    return "._*" if name.startswith("._") else printable(name)


def _count(entry: os.DirEntry[str]) -> int:
    """Count the files of a hidden entry; links are not followed."""
    if not entry.is_dir(follow_symlinks=False):
        return 1
    return sum(len(files) for _, _, files in os.walk(entry.path))


def _files(count: int) -> str:
    return "file" if count == 1 else "files"


def _listed(counts: Counter[str]) -> str:
    shown = [f"{name or 'no ending'} {count}" for name, count in counts.most_common(5)]
    return f" ({', '.join(shown)}{', …' if len(counts) > 5 else ''})"


def _inside(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root


def _is(kind: Callable[[], bool]) -> bool:
    """Ask an entry what it is; a link that leads to itself is nothing."""
    try:
        return kind()
    except OSError:
        return False
