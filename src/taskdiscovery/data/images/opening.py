"""Opening the file of an image: which formats, how its samples stand in it, how it lies."""

from __future__ import annotations

import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError, features

from taskdiscovery.data.images.deep import is_deep
from taskdiscovery.data.listing import Source
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.budget import ALL, EXPANSION, Budget

FORMATS = (
    *("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "JPEG2000"),
    *(["AVIF"] if "avif" in features.modules else []),  # older versions of Pillow lack it
)
PIXELS_AT_MOST = 64_000_000
#: larger files are read piece by piece, others at once: a TIFF may hold thousands of pages.
AT_ONCE = 2**28
#: only TIFF has files that are larger than its pictures: so much, and a little, has a picture of as
#: many pixels as there may be, however it is written.
_LARGEST = 2**29
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
#: bytes of memory that a pixel takes until it is shown: of eight bits, in formats whose decoders
#: keep a picture of their own, and of deep samples by their bands; as measured.
_FLAT, _OWN, _DEEP = 16, 20, {1: 14, 2: 26, 3: 22, 4: 34}
_KEEPING = ("JPEG2000", "WEBP", "AVIF")
#: bytes that any picture may take; those above which one that says little is decoded alone; and
#: those up to which none has to wait.
_PICTURE, _ALONE, _LITTLE = 2**30, 2**26, 2**20
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
    state = source.stat()
    if not stat.S_ISREG(state.st_mode):  # a pipe or a device may never end
        raise ValueError("it is no regular file")
    if (size := state.st_size) <= AT_ONCE:
        return source.read_bytes(), size
    with source.open("rb") as stream:
        if size > _LARGEST and stream.read(4) not in _TIFF:
            raise ValueError(f"a file of {size:,} bytes is too large")
    return source, size


def admit(image: Image.Image, raw: str, size: int, hold: Callable[[int], None]) -> None:
    """Let an image that was opened be decoded, as soon as there is memory for it.

    Args:
        image: of any format.
        raw: how its samples stand in the file, in Pillow's words.
        size: bytes of the file.
        hold: takes bytes, and waits for them.

    Raises:
        ValueError: where it takes too much for what its file says, or for this machine; and as
            `is_deep`.
    """
    pixels = image.width * image.height
    if pixels * max(_DEEP.values()) <= _LITTLE:
        return
    pixel = _OWN if image.format in _KEEPING else _FLAT
    if is_deep(image, raw):
        pixel = _DEEP.get(2 if raw.startswith("LA") else len(image.getbands()), max(_DEEP.values()))
    needed = pixels * pixel
    if needed > _ALONE:
        try:
            Budget.of(size, "", _PICTURE).check(
                needed, f"a picture of {image.width}×{image.height}"
            )
        except DataError as error:  # of this image, which may be left out
            raise ValueError(error.what) from None
        if needed > EXPANSION * size:  # it may be a bomb, and others with it
            needed = ALL
    hold(needed)


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
