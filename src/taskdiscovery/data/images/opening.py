"""Opening the file of an image: which formats, how its samples stand in it, how it lies."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError, features

from taskdiscovery.data.listing import Source

FORMATS = (
    *("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000"),
    *(["AVIF"] if "avif" in features.modules else []),  # older versions of Pillow lack it
)
PIXELS_AT_MOST = 64_000_000
#: larger files are read piece by piece, others at once: a TIFF may hold thousands of pages.
AT_ONCE = 2**28
#: the tag of TIFF and EXIF that says how an image lies.
_ORIENTATION = 274
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: what Pillow keeps of a JPEG or WebP that may say its orientation.
_TELLING = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}


def content_of(source: Source) -> tuple[bytes | Path, int]:
    """Return the bytes of an image, or of a very large one its file; and how many there are.

    Raises:
        Exception: where it cannot be read.
    """
    if source is None:
        raise ValueError("the cell is empty")
    if isinstance(source, bytes):
        return source, len(source)
    size = source.stat().st_size
    return (source.read_bytes() if size <= AT_ONCE else source), size


def opened(content: bytes | Path) -> Image.Image:
    """Open an image without decoding it.

    Raises:
        Exception: of many kinds, where it is none, damaged, or too large.
    """
    file = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError(f"it is none of {', '.join(FORMATS)}") from None
    if image.width * image.height > PIXELS_AT_MOST:
        raise ValueError(f"{image.width}×{image.height} pixels are too many")
    return image


def raw_of(image: Image.Image) -> str:
    """How samples stand in the file, in Pillow's words, where these say more than the mode."""
    if image.format not in ("PNG", "TIFF", "BMP") or not getattr(image, "tile", None):
        return ""
    arguments = image.tile[0][3]  # type: ignore[attr-defined]
    return str(arguments if isinstance(arguments, str) else arguments[0])


def read_as(image: Any, raw: str) -> None:
    """Have an image that was opened be decoded from other raw samples than Pillow would."""
    tiles = []
    for tile in image.tile:
        arguments = raw if isinstance(tile[3], str) else (raw, *tile[3][1:])
        named = hasattr(tile, "_replace")  # not in every version of Pillow
        tiles.append(tile._replace(args=arguments) if named else (*tile[:3], arguments))
    image.tile = tiles


def orientation_of(image: Image.Image) -> int:
    """The orientation of EXIF, TIFF or XMP; 1 where there is none, or none that can be read."""
    if image.format in ("JPEG", "WEBP") and not _TELLING & image.info.keys():
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return value if value in _TURNS else 1
    except Exception:  # damaged EXIF raises errors of every kind; the picture may be sound
        return 1


def upright(image: Image.Image) -> tuple[Image.Image, int]:
    """Decode an image that was opened, and turn it as it is meant to be seen, once.

    Returns:
        It, and the orientation that it was turned from; 1 for none.
    """
    image.load()
    orientation = orientation_of(image)  # what Pillow has applied, it has removed
    turn = _TURNS.get(orientation)
    return (image, 1) if turn is None else (image.transpose(turn), orientation)
