"""Pictures of a task: which images to show, and one sprite that holds them.

Axes: N images, n shown.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from taskdiscovery.reporting.thumbnails import Files
from taskdiscovery.types import FloatArray, ImageArray, IntArray
from taskdiscovery.types.showing import as_shown

COLUMNS = 12
_SIDE_AT_MOST = 64


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One thumbnail: its place in the sprite and what to say of it."""

    x: int
    y: int
    title: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of thumbnails under a heading."""

    heading: str
    cells: list[Cell]


@dataclass(kw_only=True)
class Sheet:
    """Rows of thumbnails that share one sprite.

    Args:
        images: (N, H, W, channels) uint8; or files; or None, where there is nothing but names.
        ids: (N,) image ids, shown on hover and read out.
        side: pixels of a thumbnail at most.
    """

    images: ImageArray | Files | None
    ids: NDArray[np.str_]
    side: int = _SIDE_AT_MOST
    rows: list[Row] = field(default_factory=list)
    _chosen: list[ImageArray] = field(default_factory=list)

    def add(
        self,
        heading: str,
        chosen: IntArray,
        notes: list[str] | None = None,
        *,
        images: ImageArray | None = None,
    ) -> None:
        """Add a row of at most `COLUMNS` images; an empty row is left out.

        Args:
            heading: said above it.
            chosen: which images.
            notes: said of each, beside its id.
            images: (n, H, W, channels) what to show in their place, e.g. after a probe.
        """
        chosen = chosen[:COLUMNS]
        if len(chosen) == 0:
            return
        y = len(self._chosen)
        texts = notes or [""] * len(chosen)
        cells = [
            Cell(x=x, y=y, title=f"{self.ids[i]}{' · ' if note else ''}{note}")
            for x, (i, note) in enumerate(zip(chosen, texts, strict=False))
        ]
        self.rows.append(Row(heading=heading, cells=cells))
        if self.images is None:
            return
        shown = self.images[chosen] if images is None else images[: len(chosen)]
        self._chosen.append(as_shown(np.asarray(shown)))

    @property
    def height(self) -> int:
        """How many rows the sprite has."""
        return len(self._chosen)

    def sprite(self) -> str:
        """Return the sprite as a data: address; nothing where there are no pictures."""
        if self.images is None:
            return ""
        H, W, channels = self.images.shape[1:]
        sheet = np.zeros((max(1, self.height) * H, COLUMNS * W, channels), dtype=np.uint8)
        for y, chosen in enumerate(self._chosen):
            for x, image in enumerate(chosen):
                sheet[y * H : (y + 1) * H, x * W : (x + 1) * W] = image
        picture = Image.fromarray(sheet[..., 0] if channels != 3 else sheet)
        if max(H, W) > self.side:
            scale = self.side / max(H, W)
            size = (round(W * scale) * COLUMNS, round(H * scale) * max(1, self.height))
            picture = picture.resize(size, Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        if max(H, W) <= 16 or channels != 3:  # JPEG would blur what has so few pixels
            picture.save(stream, "PNG", optimize=True)
            kind = "png"
        else:
            picture.save(stream, "JPEG", quality=90, subsampling=0)
            kind = "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def surest(scores_N: FloatArray, rows: IntArray, count: int = COLUMNS) -> IntArray:
    """Return the rows with the largest scores, largest first."""
    return rows[np.argsort(-scores_N[rows], kind="stable")][:count]


def class_margins(scores_NC: FloatArray) -> FloatArray:
    """Return (N, C): by how much each class's score leads the best of the others."""
    C = scores_NC.shape[1]
    margins = np.empty_like(scores_NC)
    for c in range(C):
        margins[:, c] = scores_NC[:, c] - np.delete(scores_NC, c, axis=1).max(axis=1)
    return margins
