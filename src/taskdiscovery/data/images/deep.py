"""Images of more than eight bits: their samples as they stand in the file.

Pillow cuts colour of 16 bits to its upper eight; here such a file is decoded twice, the second time
with its two bytes exchanged, so that no bit is lost.

Axes: H rows, W columns, C channels.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.data.images.scale import levels_of, strips

if TYPE_CHECKING:
    from PIL import Image

#: TIFF's tags: bits, whether 0 is white, planes, whether a sample has a sign.
_BITS, _PHOTOMETRIC, _PLANES, _SIGN = 258, 262, 284, 339


@dataclass(frozen=True, eq=False, kw_only=True)
class Deep:
    """Samples of more than eight bits, of a sign, or of floats.

    Attributes:
        samples: (H, W, C) numbers; C is 1, 3, or 4 for CMYK.
        alpha: (H, W) from 0 to 1, or None where all is opaque.
        premultiplied: whether the samples have been multiplied with it.
        inverted: whether the least value is white.
    """

    samples: NDArray[Any]
    alpha: NDArray[np.float64] | None = None
    premultiplied: bool = False
    inverted: bool = False


def is_deep(image: Image.Image, raw: str) -> bool:
    """Say whether an image that has been opened, not decoded, has samples beyond eight bits.

    Args:
        image: of any format.
        raw: how its samples stand in the file, in Pillow's words.

    Raises:
        ValueError: for planes of more than eight bits, which Pillow takes for bytes.
    """
    tags: Any = getattr(image, "tag_v2", {})
    if tags.get(_PLANES) == 2 and _first(tags.get(_BITS, 1)) > 8:
        raise ValueError("its channels stand in separate planes; save it with pixels together")
    if image.mode[:2] in ("I", "F", "I;") or ";16" in raw:
        return True
    return image.mode == "L" and _first(tags.get(_SIGN)) == 2


def second_raw(raw: str) -> str:
    """Return the raw mode that reads the lower byte of each sample, where `raw` reads the upper."""
    order = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    return raw[:-1] + order[raw[-1]]


def needs_both(image: Image.Image, raw: str) -> bool:
    """Say whether Pillow reads only the upper bytes of an image."""
    return ";16" in raw and image.mode[:1] != "I"


def samples_of(upper: NDArray[Any], lower: NDArray[Any] | None, image: Image.Image) -> Deep:
    """Make the samples of what Pillow decoded.

    Args:
        upper: (H, W[, bands]) as decoded; of grey with alpha of 16 bits, its four bytes.
        lower: the lower bytes, where `upper` holds the upper ones.
        image: as opened.
    """
    tags: Any = getattr(image, "tag_v2", {})
    premultiplied = False
    if lower is not None:
        values = upper.astype(np.uint16)
        values <<= 8
        values |= lower
        premultiplied = image.mode == "RGBA" and _first(tags.get(338)) == 1
    elif upper.ndim == 3:
        values = upper[..., 0::2].astype(np.uint16) << 8 | upper[..., 1::2]
    else:
        values = _signed(upper, tags)[..., None]
    alpha = None
    if values.shape[2] in (2, 4) and image.mode != "CMYK":
        alpha = values[..., -1] / 65535
        values = values[..., :-1]
    key = image.info.get("transparency")
    if key is not None and alpha is None:
        alpha = (values != np.array(key)).any(axis=2).astype(np.float64)
    inverted = values.dtype.kind == "u" and tags.get(_PHOTOMETRIC) == 0
    return Deep(samples=values, alpha=alpha, premultiplied=premultiplied, inverted=inverted)


def _signed(values: NDArray[Any], tags: Any) -> NDArray[Any]:
    """Return grey samples with the sign that the file says, which Pillow does not keep."""
    if values.dtype == np.uint8:
        return values.view(np.int8)
    if values.dtype == np.int32 and _first(tags.get(_SIGN, 1)) == 1 and _BITS in tags:
        return values.view(np.uint32)
    return values.astype(values.dtype.newbyteorder("="))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def as_image(deep: Deep, range: tuple[float, float]) -> Image.Image:
    """Put samples on the scale of the data set; return an image of mode L or RGB."""
    from PIL import Image

    levels = _scaled(deep, range)
    height, width, channels = levels.shape
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[channels]
    image = Image.frombytes(mode, (width, height), levels.tobytes())
    return image.convert("RGB") if mode == "CMYK" else image


def _scaled(deep: Deep, range: tuple[float, float]) -> NDArray[np.uint8]:
    """Return (H, W, C) levels, rounded to the nearest, on white where they are transparent."""
    shown = np.empty(deep.samples.shape, dtype=np.uint8)
    for rows in strips(deep.samples):
        levels = levels_of(deep.samples[rows], range)
        if deep.inverted:
            levels = 255 - levels
        if deep.alpha is not None:
            alpha = deep.alpha[rows][..., None]
            levels = np.clip(
                (levels if deep.premultiplied else levels * alpha) + 255 * (1 - alpha), 0, 255
            )
        shown[rows] = np.rint(levels)
    return shown
