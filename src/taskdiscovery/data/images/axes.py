"""Which axis is which, of arrays, tensors and pictures that somebody decoded already.

Axes: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.errors import DataError

HINT = "give uint8 of shape (N, H, W, channels), or floats in [0, 1]"

#: values of images that are worked on at once.
_AT_ONCE = 2**24


def blocks_of(images: NDArray[Any]) -> Iterator[slice]:
    """Yield images in blocks, few where they are large: whatever is made of a block is small."""
    count = max(1, _AT_ONCE * len(images) // max(1, images.size))
    for start in np.arange(0, len(images), count).tolist():
        yield slice(start, start + count)


def array_of(value: Any) -> NDArray[Any]:
    """Return a tensor, an array or nested lists as an array."""
    if hasattr(value, "detach"):  # a torch tensor, which may be of a type that NumPy lacks
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return np.asarray(value.numpy())
    return np.asarray(value)


def picture_of(value: Any) -> NDArray[Any]:
    """Return one image as (H, W, C): a PIL image, an array, or a tensor, which has channels first.

    A PIL image that was opened from a file and not touched since is turned upright.
    """
    if hasattr(value, "convert"):
        from taskdiscovery.data.images.flat import as_array, on_white
        from taskdiscovery.data.images.opening import upright

        image = upright(value)[0] if value.format else value
        if image.mode[:1] in ("I", "F"):
            return np.asarray(image)[..., None]
        return as_array(on_white(image)[0])
    array = array_of(value)
    if array.ndim == 2:
        return array[..., None]
    if array.ndim == 3:
        first = array.shape[0] in (1, 3, 4)
        last = array.shape[2] in (1, 3, 4)
        if (hasattr(value, "detach") and (first or not last)) or (first and not last):
            return np.moveaxis(array, 0, -1)
    return array


def is_picture(value: Any) -> bool:
    """Say whether a value is one image: a PIL image, an array or a tensor."""
    return hasattr(value, "convert") or getattr(value, "ndim", 0) >= 2


def channels_last(array: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    """Return images as (N, H, W, C), and a note where their channels stood in front.

    Raises:
        DataError: where it is not plain which axis is that of channels.
    """
    if array.ndim == 3 and not (array.shape[2] in (3, 4) and array.shape[1] > 8):
        array = array[..., None]
    if array.ndim not in (3, 4) or array.size == 0:
        raise DataError(f"an array of shape {array.shape} is no images", where=name, hint=HINT)
    if array.ndim == 3:
        raise DataError(
            f"an array of shape {array.shape} may be one image, or several narrow grey ones",
            where=name,
            hint="give one image as images[None], grey ones as images[..., None]",
        )
    _, first, second, last = array.shape
    if first in (1, 3, 4) and last not in (1, 2, 3, 4):
        note = f"channels stood in front, in shape {array.shape}, and were put last"
        return np.ascontiguousarray(np.moveaxis(array, 1, -1)), note
    if last > 4 and last >= min(first, second):
        raise DataError(
            f"in images of shape {array.shape} it is not plain which axis is that of channels",
            where=name,
            hint="put it last with np.moveaxis(images, 1, -1); where it is last, and there are so "
            "many, make a taskdiscovery.Dataset(images=…, ids=…) of uint8",
        )
    return array, ""
