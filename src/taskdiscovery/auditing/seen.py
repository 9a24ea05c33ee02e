"""One pass over the images: every column that a view may read, in named blocks.

Axes: N images, P columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from taskdiscovery.auditing import maps, statistics
from taskdiscovery.auditing.filefacts import file_columns
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.types import Dataset, Float32, FloatArray, ImageArray, IntArray

#: standardized values beyond so many deviations say no more.
_FARTHEST = 6.0
#: passes over the images that `look` makes, as it tells a meter.
PASSES = 3
GREY, LIGHT, TINT, PEAKS, FILES = "grey", "light", "tint", "peaks", "files"
CELLS = tuple((row, column) for row in range(maps.GRID) for column in range(maps.GRID))


@dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """What there is to read of some images.

    Attributes:
        dataset: the images.
        columns_NP: standardized.
        blocks: which columns each name has.
        layout: share of the variance of pixels that their position alone explains: near 0 for
            photographs, large where all pictures are taken alike.
        statistics: (N, K) of each family, as they were measured.
    """

    dataset: Dataset
    columns_NP: Float32
    blocks: dict[str, IntArray]
    layout: float
    statistics: dict[str, Float32]

    def of(self, *names: str) -> IntArray:
        """Return the columns of some blocks."""
        return np.concatenate([self.blocks[name] for name in names])

    def cells(
        self,
        *places: tuple[int, int],
        kinds: tuple[str, ...] = (GREY, LIGHT, TINT),
        half: bool = False,
    ) -> IntArray:
        """Return the columns of cells of the grid.

        Args:
            places: (row, column) of each; all where none is given.
            kinds: which maps.
            half: of the pictures at half their resolution.
        """
        stem = "half cell" if half else "cell"
        return self.of(*(f"{stem} {r},{c} {k}" for r, c in places or CELLS for k in kinds))

    def band(self, name: str) -> IntArray:
        """Return the columns of the four sides of the outer `ring` or of the `inner` one."""
        sides = ("top", "bottom", "left", "right")
        return self.of(*(f"{name} {side} {kind}" for side in sides for kind in (GREY, LIGHT, TINT)))

    @property
    def has_files(self) -> bool:
        """Whether there are facts of files."""
        return FILES in self.blocks


def look(dataset: Dataset, seed: int, meter: Meter | None = None) -> Seen:
    """Look at images once; `PASSES` times their number is told to the meter.

    Args:
        dataset: the images, of at least 16 pixels a side.
        seed: decides which patches the filters are made of.
        meter: told of images passed.
    """
    images = dataset.images
    blocks: dict[str, Float32] = {}
    for stem, pictures in (("", images), ("half ", halved(images))):
        found = maps.pooled(pictures, seed, meter)
        for r, region in enumerate(found.regions):
            if not stem or region.startswith("cell"):
                blocks[f"{stem}{region} {GREY}"] = found.values_NRF[:, r, found.grey]
                blocks[f"{stem}{region} {LIGHT}"] = found.values_NRF[:, r, found.light]
                blocks[f"{stem}{region} {TINT}"] = found.values_NRF[:, r, found.colour]
        if not stem:
            blocks[PEAKS] = found.peaks_NF
    advance = (lambda count: None) if meter is None else meter.advance
    measured = statistics.statistics(images, advance)
    for name, values_NK in measured.items():
        blocks[name] = statistics.hinges(values_NK)
    if dataset.facts is not None:
        columns, _ = file_columns(dataset.facts)
        if columns.shape[1]:
            blocks[FILES] = columns
    ends = np.cumsum([values.shape[1] for values in blocks.values()])
    return Seen(
        dataset=dataset,
        columns_NP=np.concatenate([_standard(values) for values in blocks.values()], axis=1),
        blocks={
            name: np.arange(end - values.shape[1], end)
            for (name, values), end in zip(blocks.items(), ends, strict=True)
        },
        layout=layout(images),
        statistics=measured,
    )


def halved(images: ImageArray) -> ImageArray:
    """Return pictures of half the side, which most traces of camera and codec do not survive."""
    N, H, W, C = images.shape
    h, w = H // 2, W // 2
    result = np.empty((N, h, w, C), dtype=np.uint8)
    for start in range(0, N, 1024):
        part = images[start : start + 1024, : 2 * h, : 2 * w]
        means = part.reshape(len(part), h, 2, w, 2, C).mean(axis=(2, 4), dtype=np.float32)
        result[start : start + 1024] = np.round(means)
    return result


def layout(images: ImageArray) -> float:
    """Return the share of the variance of brightness that position alone explains."""
    some = images[:: max(1, len(images) // 2000)].astype(np.float32).mean(axis=3)
    total = float(some.var())
    return float(some.mean(axis=0).var()) / total if total > 0 else 0.0


def _standard(values_NK: Float32 | FloatArray) -> Float32:
    mean, spread = values_NK.mean(axis=0), values_NK.std(axis=0)
    standard = (values_NK - mean) / np.maximum(spread, 1e-6)
    return np.clip(standard, -_FARTHEST, _FARTHEST).astype(np.float32)
