"""What a cue is: a change of one image that leaves its content readable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taskdiscovery.types import ImageArray

#: one image (H, W, channels) uint8, and what may be drawn for it alone; the image with the cue.
Change = Callable[[ImageArray, np.random.Generator], ImageArray]


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A cue that can be planted.

    Attributes:
        name: of `plant --cue`.
        about: what it looks like, in a few words.
        family: what kind of thing it is: `mark` (something drawn in a place), `light` (brightness,
            colour), `camera` (optics, sensor, codec: how the picture was made).
        change: draws it into an image.
    """

    name: str
    about: str
    family: str
    change: Change
