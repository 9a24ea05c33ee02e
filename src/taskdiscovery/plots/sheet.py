"""Strips of pictures, a strip a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.plots.axes import axes_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GAP = 1


@dataclass(frozen=True, eq=False, kw_only=True)
class Strip:
    """A row of pictures.

    Attributes:
        name: written beside it.
        images: (n, H, W, channels) uint8; all strips have pictures of one shape.
    """

    name: str
    images: NDArray[np.uint8]


def draw_sheet(
    strips: Sequence[Strip], *, title: str = "", columns: int, ax: Axes | None = None
) -> Axes:
    """Draw strips of pictures under each other.

    Args:
        strips: at least one; shorter ones end in white.
        title: of the figure.
        columns: pictures in a row.
        ax: to draw on, or None.
    """
    ax = axes_of(ax, 1.6 + 0.55 * columns, 0.5 + 0.6 * len(strips))
    H, W, channels = strips[0].images.shape[1:]
    height, width = len(strips) * (H + _GAP), columns * (W + _GAP)
    sheet: NDArray[Any] = np.full((height, width, 3), 255, dtype=np.uint8)
    for y, strip in enumerate(strips):
        for x, image in enumerate(strip.images[:columns]):
            shown = image if channels == 3 else np.repeat(image[..., :1], 3, axis=2)
            top, left = y * (H + _GAP), x * (W + _GAP)
            sheet[top : top + H, left : left + W] = shown
    ax.imshow(sheet, interpolation="nearest")
    centres = [y * (H + _GAP) + H / 2 - 0.5 for y in range(len(strips))]
    ax.set_yticks(centres, [short(strip.name) for strip in strips])
    ax.set_xticks([])
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(short(title, 72), loc="left", fontsize="medium")
    return ax
