"""Thumbnails of a data set: of its images, of the files that its ids name, or none.

Axes: N images, n shown.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from taskdiscovery.data.images.pixels import read
from taskdiscovery.data.images.resizing import fitted
from taskdiscovery.data.images.work import quiet_pillow
from taskdiscovery.features.alone import path_alone
from taskdiscovery.types import Dataset, IdArray, ImageArray, IntArray
from taskdiscovery.types.showing import NONE, mode

#: pixels of a thumbnail that is read from a file.
SIDE = 64
_TRIED = 20


class Files:
    """Pictures of files, read when they are asked for; one that cannot be read is grey.

    Args:
        folder: that the names begin in.
        names: (N,) paths of the files.
    """

    def __init__(self, folder: Path, names: IdArray) -> None:
        self.folder, self.names = folder, names
        self.shape = (len(names), SIDE, SIDE, 3)

    def __getitem__(self, rows: IntArray) -> ImageArray:
        """Return (n, 64, 64, 3) uint8."""
        made = [_thumbnail(self.folder / str(name)) for name in self.names[rows]]
        return np.stack(made) if made else np.zeros((0, *self.shape[1:]), dtype=np.uint8)


def thumbnails_of(dataset: Dataset) -> ImageArray | Files | None:
    """Return what to show of a data set; None where it has no images and its ids name no files,
    or none may be shown.
    """
    if mode() == NONE:
        return None
    if dataset.has_images:
        return dataset.images
    table = path_alone(dataset.name)
    names = dataset.ids[:_TRIED]
    for folder in (Path(), *([] if table is None else [table.parent])):
        if all((folder / str(name)).is_file() for name in names):
            return Files(folder, dataset.ids)
    return None


def _thumbnail(path: Path) -> ImageArray:
    try:
        with quiet_pillow():
            content = read(path, lambda size: None).content
        if not isinstance(content, Image.Image):
            raise ValueError("deep samples have no scale here")
        return np.asarray(fitted(content.convert("RGB"), SIDE, "crop"), dtype=np.uint8)
    except Exception:  # damaged files raise errors of every kind, and a page is better with a gap
        return np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
