"""How a picture was taken and kept: noise, focus, resolution, codec.

They are present together or not at all: each of them moves the others' statistics. Which it is, is
told by what noise, blur, resampling and JPEG do to these very pictures (see `likeness`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from taskdiscovery.auditing import statistics
from taskdiscovery.auditing.seen import Seen
from taskdiscovery.auditing.views.view import MODES, UNIQUE, Operation, View
from taskdiscovery.data.images.operations import blurred, compressed, noisy, pictured, resampled
from taskdiscovery.types import ImageArray, IntArray
from taskdiscovery.types.audit import ARTEFACT

#: strengths that are tried; `plant` has others.
_NOISES, _BLURS = (3, 5, 12), (0.55, 0.7, 1.0)
_SCALES, _QUALITIES = (0.5, 0.75, 0.85), (15, 30, 55, 75)
_FINE_NOISES, _FINE_BLURS = (2, 3, 4, 5, 6, 8, 10, 13, 17), (0.4, 0.5, 0.6, 0.8, 1.0, 1.3, 1.7)
_FINE_SCALES, _FINE_QUALITIES = (0.4, 0.5, 0.6, 0.67, 0.75, 0.8, 0.85, 0.9), tuple(range(10, 95, 5))


def _own(seen: Seen) -> IntArray:
    return seen.of(*statistics.CAMERA)


def _content(seen: Seen) -> IntArray:
    """What pictures of half the resolution show, and how they are lit."""
    return np.concatenate([seen.cells(half=True), seen.of(*statistics.LIGHT)])


def _pictured(
    images: ImageArray, rng: np.random.Generator, change: Callable[[Image.Image], Image.Image]
) -> ImageArray:
    return pictured(images, change)


def _noises(sigmas: Sequence[float]) -> tuple[Operation, ...]:
    return tuple(partial(noisy, sigma=sigma) for sigma in sigmas)


def _blurs(radii: Sequence[float]) -> tuple[Operation, ...]:
    return tuple(partial(_pictured, change=partial(blurred, radius=radius)) for radius in radii)


def _resamplings(scales: Sequence[float]) -> tuple[Operation, ...]:
    return tuple(
        partial(_pictured, change=partial(resampled, scale=scale, smaller=smaller))
        for scale in scales
        for smaller in (Image.Resampling.BICUBIC, Image.Resampling.BOX)
    )


def _compressions(qualities: Sequence[int]) -> tuple[Operation, ...]:
    return tuple(
        partial(_pictured, change=partial(compressed, quality=quality)) for quality in qualities
    )


_camera = partial(View, kind=ARTEFACT, own=_own, rest=_content, tests=(UNIQUE, MODES))
VIEWS = (
    _camera(
        name="noise",
        words="how noisy the pictures are",
        remedy="find out which camera or setting each class was taken with, and take both with "
        "one; noise added to all pictures alike, while training, hides it",
        likenesses=_noises(_NOISES),
        strengths=_noises(_FINE_NOISES),
    ),
    _camera(
        name="blur",
        words="how sharp the pictures are",
        remedy="bring all pictures to the sharpness of the least sharp ones, and train with blur "
        "as an augmentation",
        likenesses=_blurs(_BLURS),
        strengths=_blurs(_FINE_BLURS),
    ),
    _camera(
        name="resolution",
        words="the resolution that the pictures had before they were resized",
        remedy="bring all originals to the smallest resolution among them before they are resized",
        likenesses=_resamplings(_SCALES),
        strengths=_resamplings(_FINE_SCALES),
    ),
    _camera(
        name="codec",
        words="traces of the codec (JPEG's blocks)",
        remedy="re-encode every picture alike, at the lowest quality among them, and train on "
        "these",
        likenesses=_compressions(_QUALITIES),
        strengths=_compressions(_FINE_QUALITIES),
    ),
)
