"""What a file says of itself beside its picture: facts that may go with a class without being seen.

They are gathered while images are decoded, at their native size, and kept as a table with a row an
image.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from taskdiscovery.data.images.exif import taken

if TYPE_CHECKING:
    from PIL import Image

#: the table of the JPEG standard for brightness, of quality 50, row by row.
_STANDARD = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112
100 103 99
"""
#: TIFF's tags: bits of each sample, and where EXIF lies.
_BITS, _EXIF = 258, 34665
_BITS_OF_MODE = {"1": 1, "I": 16, "I;16": 16, "F": 32}
Utf8: TypeAlias = bytes


class Facts(NamedTuple):
    """What a file says of itself.

    Attributes:
        bytes: size of the file.
        format: PNG, JPEG, MPO, WEBP, BMP, GIF, TIFF, PPM, JPEG2000 or AVIF.
        mode: how pixels stand in it, in Pillow's words: L, RGB, P, CMYK, I;16, …
        width, height: in pixels, upright.
        bits: of a sample, or of an index into the palette.
        exif: whether there is EXIF.
        orientation: how it lies in the file, 1 to 8 (TIFF tag 274); 1 where it does not say.
        icc: whether there is a colour profile.
        quantization: short hash of a JPEG's quantization tables; "" elsewhere.
        quality: of the JPEG as libjpeg counts it (1 to 100), estimated from these tables;
            NaN elsewhere.
        progressive: whether a JPEG is progressive, or a PNG interlaced.
        time: when it was taken, as EXIF says it, in seconds since 1970; NaN without.
        camera: its maker and model, as EXIF says them, in UTF-8; empty without.
    """

    bytes: int
    format: str
    mode: str
    width: int
    height: int
    bits: int
    exif: bool
    orientation: int
    icc: bool
    quantization: str
    quality: float
    progressive: bool
    time: float
    camera: Utf8


#: of an image that could not be decoded; its row is left out.
NONE = Facts(0, "", "", 1, 1, 0, False, 1, False, "", math.nan, False, math.nan, b"")


def facts_of(
    image: Image.Image, found: tuple[str, str, int], shown: tuple[int, int], size: int
) -> Facts:
    """Gather the facts of an image that has been decoded.

    Args:
        image: as Pillow opened it.
        found: before it was decoded, its mode, how samples stand in the file in Pillow's words (""
            where that is not known), and its orientation.
        shown: its width and height, upright.
        size: bytes of the file.
    """
    info, format = image.info, image.format or ""
    mode, raw, orientation = found
    tables: Any = getattr(image, "quantization", None)
    quantization, quality = _quantization(tables) if tables else ("", math.nan)
    tags: Any = image.tag_v2 if format == "TIFF" else {}  # type: ignore[attr-defined]
    bits = _BITS_OF_MODE.get(mode, 8)
    if tags:
        bits = int(tags.get(_BITS, (1,))[0])
    elif raw:
        bits = _bits(raw, bits)
    exif = "exif" in info or _EXIF in tags or "Raw profile type exif" in info
    time, camera = taken(image) if exif or tags else (math.nan, b"")
    return Facts(
        size,
        format,
        mode,
        *shown,
        bits,
        exif,
        orientation,
        "icc_profile" in info,
        quantization,
        quality,
        bool(info.get("progressive") or info.get("interlace")),
        time,
        camera,
    )


def _bits(raw: str, otherwise: int) -> int:
    """Bits of a sample: `RGB;16B` has 16, `P;4` four, `BGR;15` five."""
    digits = "".join(c for c in raw.partition(";")[2] if c.isdigit())
    if raw.startswith("BGR") and digits:
        return {"15": 5, "16": 5}.get(digits, 8)
    return int(digits) if digits else otherwise


def _quantization(tables: dict[int, list[int]]) -> tuple[str, float]:
    try:
        return _known(b"|".join([bytes(table) for table in tables.values()]), 1)
    except ValueError:  # a table of 16 bits
        return _known(b"|".join(np.array(t, ">u2").tobytes() for t in tables.values()), 2)


@lru_cache(1024)
def _known(tables: bytes, width: int) -> tuple[str, float]:
    """Return the hash of tables, and the quality whose first table is nearest to theirs."""
    first = np.frombuffer(tables[: 64 * width], "u1" if width == 1 else ">u2").astype(np.int64)
    if len(first) != 64:
        return hashlib.blake2b(tables, digest_size=4).hexdigest(), math.nan
    standard = np.array(_STANDARD.split(), dtype=np.int64)
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    known = np.clip((standard * scale + 50) // 100, 1, 255)
    nearest = float(np.abs(known - first).sum(axis=1).argmin()) + 1
    return hashlib.blake2b(tables, digest_size=4).hexdigest(), nearest
