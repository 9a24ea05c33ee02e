"""When and with what a picture was taken, as its EXIF says; odd EXIF says nothing, and is no error.

Places are not read.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

#: tags of TIFF and EXIF: maker, model, when it was written; where EXIF lies, when it was taken.
_MAKE, _MODEL, _WRITTEN, _EXIF, _TAKEN = 271, 272, 306, 34665, 36867
#: bytes of UTF-8 that the name of a camera is cut to.
CAMERA_AT_MOST = 48
_STAMP = re.compile(r"\s*([0-9]{4})[:/.-]([0-9]{2})[:/.-]([0-9]{2})[ T]([0-9]{2}):([0-9]{2})")
_SECONDS = re.compile(r":([0-9]{2})")


def taken(image: Image.Image) -> tuple[float, bytes]:
    """Return when a picture was taken, and the camera's maker and model.

    Args:
        image: as Pillow opened it, decoded or not.

    Returns:
        Seconds since 1970 by the camera's clock, whose zone EXIF does not tell, of
        `DateTimeOriginal`, else of `DateTime`; NaN without either. A text in UTF-8, of at most 48
        bytes; empty without one.
    """
    own: Any = getattr(image, "tag_v2", None)  # TIFF's own tags need no reading
    try:
        exif: Any = image.getexif()
    except Exception:  # damaged EXIF raises errors of every kind; the picture may be sound
        exif = {}
    main = exif if own is None else own
    make, model = (_text(_value(main, tag)) for tag in (_MAKE, _MODEL))
    if make and model.casefold().startswith(make.casefold()):
        make = ""
    camera = f"{make} {model}".strip().encode()[:CAMERA_AT_MOST]
    try:
        inner: Any = exif.get_ifd(_EXIF)
    except Exception:
        inner = {}
    seconds = _seconds(_text(_value(inner, _TAKEN)))
    if math.isnan(seconds):
        seconds = _seconds(_text(_value(main, _WRITTEN)))
    return seconds, camera.decode("utf-8", "ignore").strip().encode()


def _value(tags: Any, tag: int) -> Any:
    try:
        return tags.get(tag)
    except Exception:  # a tag is decoded when it is asked for
        return None


def _text(value: Any) -> str:
    """Return a text of one line that can be shown anywhere; "" for what is none."""
    if isinstance(value, bytes):
        value = value[: 4 * CAMERA_AT_MOST].decode("utf-8", "replace")
    if not isinstance(value, str):
        return ""
    value = value[: 4 * CAMERA_AT_MOST].partition("\0")[0]
    return " ".join("".join(c if c.isprintable() else " " for c in value).split())


def _seconds(text: str) -> float:
    """Read `2019:05:04 13:07:00`, with or without seconds; NaN for what is no date."""
    found = _STAMP.match(text)
    if not found:
        return math.nan
    seconds = _SECONDS.match(text, found.end())
    try:
        year, month, day, hour, minute = (int(part) for part in found.groups())
        second = int(seconds[1]) if seconds else 0
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:  # month 13, or 0000:00:00 of a clock that was never set
        return math.nan
