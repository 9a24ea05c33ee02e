"""What a corruption is, and how strong it is for pictures of any size.

Names and amounts follow Hendrycks & Dietterich 2019 (arXiv 1903.12261), whose code has two tables:
one for pictures of 32 pixels (CIFAR-10-C), one for 224 (ImageNet-C), which take far more of the
same. Strengths 1, 2, 3 are their severities 1, 3, 5. Between both sizes amounts are interpolated
(linear in the logarithms of side and amount), beyond them they stay as they are, and lengths grow
and shrink with the side. Where the published amounts are not ours, the corruption's file says so.

Axes: H, W pixels, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from taskdiscovery.types import ImageArray

STRENGTHS = (1, 2, 3)
#: sides in pixels that amounts are given for.
_SMALL, _LARGE = 32, 224
#: one image (H, W, C), the amounts at its size and strength, and what is drawn for it alone.
Change = Callable[[ImageArray, tuple[float, ...], np.random.Generator], ImageArray]
#: amounts at each of the strengths.
Amounts = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """A corruption at three strengths.

    Attributes:
        name: as in the literature.
        about: what it looks like, in a few words.
        change: makes a corrupted picture of one picture.
        small: amounts for pictures of 32 pixels, a tuple for each strength.
        large: amounts for pictures of 224 pixels; the same where none are given.
        lengths: positions of the amounts that are lengths in pixels.
    """

    name: str
    about: str
    change: Change
    small: Amounts
    large: Amounts = ()
    lengths: tuple[int, ...] = ()

    def amounts(self, strength: int, side: int) -> tuple[float, ...]:
        """Return the amounts for pictures whose shorter side has so many pixels.

        Args:
            strength: one of `STRENGTHS`.
            side: in pixels.
        """
        low = self.small[strength - 1]
        high = self.large[strength - 1] if self.large else low
        share = math.log(max(side, 1) / _SMALL) / math.log(_LARGE / _SMALL)
        share = min(max(share, 0.0), 1.0)
        beyond = side / min(max(side, _SMALL), _LARGE)
        return tuple(
            a * (b / a) ** share * (beyond if i in self.lengths else 1.0)
            for i, (a, b) in enumerate(zip(low, high, strict=True))
        )

    def __call__(self, image: ImageArray, strength: int, rng: np.random.Generator) -> ImageArray:
        """Return one picture (H, W, C), corrupted.

        Args:
            image: uint8.
            strength: one of `STRENGTHS`.
            rng: decides what is drawn; a generator of the same state draws the same at every
                strength, as far as there is the same to draw.
        """
        return self.change(image, self.amounts(strength, min(image.shape[:2])), rng)
