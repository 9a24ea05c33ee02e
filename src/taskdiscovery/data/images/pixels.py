"""From the bytes of a file to its picture: upright, on white, grey or RGB; deep samples apart.

This is the one place that decodes: whatever reader found the bytes, the same bytes give the same
picture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from taskdiscovery.data.images.deep import Deep, is_deep, needs_both, samples_of, second_raw
from taskdiscovery.data.images.facts import Facts, facts_of
from taskdiscovery.data.images.flat import GREY, lit, on_white
from taskdiscovery.data.images.opening import (
    admit,
    content_of,
    opened,
    orientation_of,
    raw_of,
    read_as,
    upright,
)
from taskdiscovery.data.images.scale import Extent, extent_of
from taskdiscovery.data.listing import Source

#: TIFF's tags of width and height.
_WIDTH, _HEIGHT = 256, 257
#: how Pillow takes grey with alpha of 16 bits, for which it has no mode.
_GREY_ALPHA_16 = "LA;16B"
FRAMES = "hold several frames, of which the first is read"
ON_WHITE = "are transparent in part, and set on white"


class Picture(NamedTuple):
    """What a file shows.

    Attributes:
        content: an image of mode L or RGB, or samples that are still to be put on a scale.
        facts: of the file.
        remarks: what was done that somebody may want to know.
    """

    content: Image.Image | Deep
    facts: Facts
    remarks: tuple[str, ...]


class Look(NamedTuple):
    """What the header of a file says of its picture.

    Attributes:
        width, height: upright.
        grey: whether it has one channel.
        extent: of deep samples, where it was asked for.
    """

    width: int
    height: int
    grey: bool
    extent: Extent | None


def read(source: Source, hold: Callable[[int], None]) -> Picture:
    """Decode an image.

    Args:
        source: where it is.
        hold: takes bytes of memory, and waits for them.

    Raises:
        Exception: of many kinds, where it is damaged or cannot be read without a guess.
    """
    content, size = content_of(source)
    if not isinstance(content, bytes):
        with opened(content) as image:
            return _read(image, content, size, hold)
    image = opened(content)
    # The commonest kind, of which nothing of what `_read` looks for can be true. It is decoded
    # when its pixels are asked for.
    if image.format == "JPEG" and image.mode in ("RGB", "L") and orientation_of(image) == 1:
        admit(image, "", size, hold)
        return Picture(image, facts_of(image, (image.mode, "", 1), image.size, size), ())
    return _read(image, content, size, hold)


def _read(
    image: Image.Image, content: bytes | Path, size: int, hold: Callable[[int], None]
) -> Picture:
    """Decode an image that was opened; `size` is that of its file."""
    mode, raw, stored = image.mode, raw_of(image), 1
    admit(image, raw, size, hold)
    if image.format == "TIFF":  # Pillow may turn it while decoding, and forget the tag
        stored = orientation_of(image)
    if is_deep(image, raw):
        deep, turned = _deep(image, raw, content)
        picture: Image.Image | Deep = deep
        shown = (deep.samples.shape[1], deep.samples.shape[0])
        see_through = deep.alpha is not None and bool((deep.alpha < 1).any())
    else:
        flat, turned, see_through = _flat(image, raw)
        picture, shown = flat, flat.size
    facts = facts_of(image, (mode, raw, max(stored, turned)), shown, size)
    remarks = (ON_WHITE,) if see_through else ()
    if image.format != "MPO" and getattr(image, "is_animated", False):  # whose others are previews
        remarks = (*remarks, FRAMES)
    return Picture(picture, facts, remarks)


def look(source: Source, hold: Callable[[int], None], *, values: bool) -> Look:
    """Look at the header of an image, and with `values` at the samples of a deep one.

    Args:
        source: where it is.
        hold: takes bytes of memory, and waits for them.
        values: whether the samples of a deep image are looked at, which decodes it.

    Raises:
        Exception: of many kinds, where it is damaged or cannot be read without a guess.
    """
    content, size = content_of(source)
    with opened(content) as image:
        raw = raw_of(image)
        grey = image.mode in GREY or raw == _GREY_ALPHA_16
        admit(image, raw, size, hold)  # Pillow decodes PNG to look for its EXIF
        if is_deep(image, raw) and values:
            deep, _ = _deep(image, raw, content)
            height, width = deep.samples.shape[:2]
            return Look(width, height, grey, extent_of(deep.samples))
        width, height = image.size
        if image.format == "TIFF":  # whose size Pillow may have turned already
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            width, height = tags[_WIDTH], tags[_HEIGHT]
        if orientation_of(image) > 4:  # turned by a quarter
            width, height = height, width
    return Look(width, height, grey, None)


def _flat(image: Image.Image, raw: str) -> tuple[Image.Image, int, bool]:
    """Decode an image of up to eight bits; return it, its orientation, if it was transparent."""
    if raw.startswith("RGBa"):  # Pillow would divide by alpha, and round
        read_as(image, f"RGBA{raw[4:]}")
        turned, orientation = upright(image)
        shown, see_through = lit(turned)
        return shown, orientation, see_through
    turned, orientation = upright(image)
    if raw in ("L;2", "L;4") and "transparency" in turned.info:
        # Pillow spreads the samples over eight bits, and not the one that is transparent.
        turned.info["transparency"] *= {"L;2": 85, "L;4": 17}[raw]
    shown, see_through = on_white(turned)
    return shown, orientation, see_through


def _deep(image: Image.Image, raw: str, content: bytes | Path) -> tuple[Deep, int]:
    """Decode the samples of a deep image; return them and its orientation."""
    lower = None
    if raw == _GREY_ALPHA_16:
        read_as(image, "RGBA")  # its four bytes
    elif needs_both(image, raw):
        raw = raw.replace("RGBa", "RGBA")
        read_as(image, raw)
        with opened(content) as again:
            read_as(again, second_raw(raw))
            lower = np.asarray(upright(again)[0])
    upper, orientation = upright(image)
    return samples_of(np.asarray(upper), lower, image), orientation
