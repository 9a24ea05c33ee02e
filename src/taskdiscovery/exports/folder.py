"""The folder that an export is written into, and what all forms put there.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from taskdiscovery.exports.material import Material
from taskdiscovery.exports.table import Table, table_of
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.splits.benchmark.building import put
from taskdiscovery.splits.benchmark.card import called
from taskdiscovery.splits.benchmark.shards import check_png, png_of
from taskdiscovery.store.writing import resources
from taskdiscovery.types import ImageArray
from taskdiscovery.types.showing import NONE, as_shown, mode

CARD, TABLE, COLUMNS = "README.md", "table.csv", "columns.csv"


@dataclass(frozen=True, eq=False, kw_only=True)
class Folder:
    """An export that is being written.

    Attributes:
        place: the folder.
        material: what is exported.
        meter: told of images written; or None.
    """

    place: Path
    material: Material
    meter: Meter | None = None

    @property
    def pictures(self) -> ImageArray | None:
        """(N, H, W, channels) images, as they may be shown; None where they may not, or are not."""
        images = self.material.dataset.pictures
        return None if images is None or mode() == NONE else images

    @property
    def title(self) -> str:
        """What the data is called, without the folders that it lay in."""
        return called(self.material.dataset.name)

    def files(self, folder: str) -> tuple[str, ...] | None:
        """Return (N,) the paths that `write_pictures` gives the images; None without pictures."""
        if self.pictures is None:
            return None
        return tuple(f"{folder}/{file_of(row)}" for row in range(len(self.material.dataset)))

    @cached_property
    def bare(self) -> Table:
        """The table of an export without image files."""
        return table_of(self.material)

    def write_pictures(self, folder: str) -> tuple[str, ...] | None:
        """Write every image as a PNG; return their paths, or None where pictures are left out.

        Raises:
            DataError: for images that PNG does not hold.
        """
        names = self.files(folder)
        if names is None:
            return None
        check_png(self.material.dataset)
        # Not made to last one by one, as `put` does: the folder has no name yet.
        with resources(self.place / folder):
            (self.place / folder).mkdir()
            for name, image in zip(names, self.shown(), strict=True):
                (self.place / name).write_bytes(png_of(image))
                if self.meter is not None:
                    self.meter.advance()
        return names

    def shown(self) -> Iterator[ImageArray]:
        """Yield every image (H, W, channels) as it may be shown."""
        assert self.pictures is not None
        for row in range(len(self.material.dataset)):
            yield as_shown(np.asarray(self.pictures[row])[None])[0]

    def write_table(self, table: Table) -> None:
        """Write the table, and what its columns are."""
        for name, frame in ((TABLE, table.to_frame()), (COLUMNS, table.described())):
            self.write(name, frame.to_csv(index=False, lineterminator="\n"))

    def write(self, name: str, text: str) -> None:
        """Write a file of text."""
        put(self.place / name, text.encode("utf-8", "backslashreplace"))


def file_of(row: int) -> str:
    """Return what the file of an image is called."""
    return f"{row:06d}.png"
