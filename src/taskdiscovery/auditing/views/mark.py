"""A mark that lies wherever: letters, a time stamp, a sticker.

Axes: N images, H, W pixels, C channels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from taskdiscovery.auditing import statistics
from taskdiscovery.auditing.seen import PEAKS, Seen
from taskdiscovery.auditing.views.view import APART, MODES, View
from taskdiscovery.types import ImageArray, IntArray
from taskdiscovery.types.audit import ARTEFACT

#: side of what is exchanged, as a share of the picture's.
_SIDE = 0.3


def _exchanged(images: ImageArray, donors: ImageArray) -> ImageArray:
    """Take from donors what stands out in them, and what lies where the pictures' own does."""
    result = images.copy()
    for one, image, donor in zip(result, images, donors, strict=True):
        for place in (_standing_out(image), _standing_out(donor)):
            one[place] = donor[place]
    return result


def _standing_out(image: ImageArray) -> tuple[slice, slice]:
    """Return the square in which pixels vary most."""
    H, W = image.shape[:2]
    side = max(3, round(_SIDE * min(H, W)))
    x = image.astype(np.float32)
    mean, square = (
        ndimage.uniform_filter(values, size=(side, side, 1), mode="nearest") for values in (x, x**2)
    )
    # Squares that would reach beyond the picture are left out.
    half = side // 2
    inside = (slice(half, H - side + half + 1), slice(half, W - side + half + 1))
    spread = (square - mean**2).sum(axis=2)[inside]
    top, left = np.unravel_index(int(spread.argmax()), spread.shape)
    return slice(int(top), int(top) + side), slice(int(left), int(left) + side)


def _content(seen: Seen) -> IntArray:
    """What pictures of half the resolution show, and how they are lit."""
    return np.concatenate([seen.cells(half=True), seen.of(*statistics.LIGHT)])


VIEWS = (
    View(
        name="mark",
        kind=ARTEFACT,
        words="a mark at changing places (letters, a stamp, a sticker)",
        remedy="look at the pictures with the mark, and cover it or take others",
        own=lambda seen: seen.of(PEAKS),
        rest=_content,
        # The strongest responses of a picture tell content, too: only heaps are evidence.
        tests=(MODES, APART),
        anywhere=True,
        exchange=_exchanged,
    ),
)
