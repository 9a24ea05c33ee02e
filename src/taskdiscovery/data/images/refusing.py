"""Images that cannot be read: refused by name, or left out where that is asked for.

Axes: N images of the listing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from taskdiscovery.data.images.axes import blocks_of
from taskdiscovery.data.listing import Listing
from taskdiscovery.errors import DataError
from taskdiscovery.types import BoolArray, ImageArray

_NAMED = 20
_LOG = logging.getLogger("taskdiscovery")


def refuse(listing: Listing, bad: Mapping[int, str], skip_bad: bool) -> None:
    """Refuse images that cannot be read, or warn of them where they are left out.

    Args:
        listing: the images.
        bad: why each of them cannot be read, by its place.
        skip_bad: whether they are left out.

    Raises:
        DataError: where they are not, or no image is left; all are counted, twenty named.
    """
    if not bad or (skip_bad and len(bad) < len(listing.ids)):
        for i, reason in list(bad.items())[:_NAMED]:
            _LOG.warning("left out %s: %s", listing.ids[i], reason)
        return
    listed = [f"{listing.ids[i]} ({reason})" for i, reason in list(bad.items())[:_NAMED]]
    raise DataError(
        f"{len(bad)} of {len(listing.ids)} images cannot be read: {'; '.join(listed)[:2000]}",
        where=listing.name,
        hint="repair or remove them, or leave them out with --skip-bad",
        files=listed,
    )


def drop(images: ImageArray, good: BoolArray, place: Path) -> ImageArray:
    """Write the file of images again without the rows that turned out to be damaged.

    Args:
        images: (rows, H, W, channels), mapped from `images.npy`.
        good: (rows,) which ones stay.
        place: the folder of the file.
    """
    chosen = np.flatnonzero(good)
    final = np.lib.format.open_memmap(
        place / "good.npy", mode="w+", dtype=np.uint8, shape=(len(chosen), *images.shape[1:])
    )
    for some in blocks_of(final):
        final[some] = images[chosen[some]]
    final.flush()
    (place / "good.npy").replace(place / "images.npy")
    return final


def left_out(listing: Listing, kept_N: BoolArray) -> tuple[str, ...]:
    """Say how many images were left out, and name three."""
    missing = np.flatnonzero(~kept_N)
    if not len(missing):
        return ()
    return (
        f"{len(missing)} images left out, e.g. "
        + ", ".join(listing.ids[int(i)] for i in missing[:3]),
    )
