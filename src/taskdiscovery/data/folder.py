"""Image folders: `class/file`, `class/images/file` as in Tiny-ImageNet, or files alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from taskdiscovery.data.listing import Listing, distinct, hash_text, printable
from taskdiscovery.data.table import stamps
from taskdiscovery.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def check(root: Path, name: str) -> None:
    """Refuse a folder that is missing or holds no image, without listing all of it.

    Raises:
        DataError: saying where it looked.
    """
    if not root.is_dir():
        raise DataError("there is no such folder", where=str(root), hint="check the path")
    if next(_walk(root), None) is None:
        raise DataError(
            "the folder holds no images",
            where=str(root),
            hint=f"images end in {' '.join(ENDINGS)}",
        )


def read(root: Path, name: str) -> Listing:
    """List a folder of images; the first level of folders, if there is one, gives the classes.

    Raises:
        DataError: for an empty folder, a link out of it, or images both beside and inside class
            folders.
    """
    check(root, name)
    files = sorted(_walk(root), key=os.fsencode)
    top = [file.split(os.sep)[0] if os.sep in file else None for file in files]
    loose = sum(folder is None for folder in top)
    if 0 < loose < len(files):
        raise DataError(
            f"{loose} images lie beside the class folders",
            where=str(root),
            hint="move them into a class folder, or list the images in a csv: table",
        )
    classes = sorted({folder for folder in top if folder is not None}, key=os.fsencode)
    index = {folder: i for i, folder in enumerate(classes)}
    labels = None if loose else np.array([index[f] for f in top if f is not None], dtype=np.int64)

    key = hash_text(stamps(files, [root / file for file in files]))

    def stream() -> Iterator[Path]:
        return (root / file for file in files)

    return Listing(
        name=name,
        key=key,
        ids=distinct([printable(file) for file in files]),
        stream=stream,
        labels=labels,
        classes=tuple(printable(c) for c in classes),
    )


def _walk(root: Path) -> Iterator[str]:
    """Yield image files relative to the root; each real directory is entered once."""
    real_root = os.path.realpath(root)
    seen = {real_root}
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(root / folder) as entries:
            for entry in sorted(entries, key=lambda e: os.fsencode(e.name), reverse=True):
                relative = os.path.join(folder, entry.name)
                if entry.is_symlink() and not _inside(os.path.realpath(entry.path), real_root):
                    raise DataError(
                        f"the link {printable(relative)!r} leads out of the folder",
                        where=str(root),
                        hint="replace it by the files themselves, or list them in a csv: table",
                    )
                if entry.is_dir():
                    real = os.path.realpath(entry.path)
                    if real not in seen:
                        seen.add(real)
                        pending.append(relative)
                elif entry.name.lower().endswith(ENDINGS) and entry.is_file():
                    yield relative


def _inside(path: str, root: str) -> bool:
    return os.path.commonpath([path, root]) == root
