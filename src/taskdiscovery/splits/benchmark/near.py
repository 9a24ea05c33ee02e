"""Near copies among the images of a benchmark: kept in one part where they can be, and counted.

Products of thumbnails are taken of whole numbers that float32 holds exactly, so that which pairs
are near depends on neither threads nor processor: a benchmark's bytes follow from them.

Axes: n rows, T values of a thumbnail, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from taskdiscovery.data.images.thumbnails import ALIKE, BRIGHTNESS, thumbnails
from taskdiscovery.types import Float32, FloatArray, ImageArray, IntArray

#: rows that are compared, at most: the work grows with their square.
AT_MOST = 40_000
#: share of the images that one chain of near copies has, at most, where they are kept together: a
#: longer one is a continuum of alike images, or a long video, and would be dealt out whole.
_LONGEST = 0.05
#: steps of a thumbnail's values between 0 and 1. Sums of products are below 2^24.
_STEPS = 2048
_BLOCK = 1024


def chains(images: ImageArray, rows: IntArray) -> IntArray | None:
    """Say which images are near copies of each other, directly or by others between.

    Args:
        images: (N, H, W, channels) uint8.
        rows: of those that are compared; beyond 40,000, each is taken to be alone.

    Returns:
        (n,) the number of each row's chain; None where there are no near copies, or where one
        chain has more than a twentieth of the images.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(rows)
    chain_n = np.arange(n)
    for a_P, b_P in _pairs(images, rows[:AT_MOST]):
        ends = (np.concatenate([np.arange(n), a_P]), np.concatenate([chain_n, b_P]))
        graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(n, n))
        labels_n = connected_components(graph, directed=False)[1]
        # named by the first row of each, so that the numbers are places among the rows again
        first = np.unique(labels_n, return_index=True)[1]
        chain_n = first[labels_n]
    longest = int(np.bincount(chain_n, minlength=1).max())
    return None if longest == 1 or longest > max(2, _LONGEST * n) else chain_n


def across(images: ImageArray, train: IntArray, test: IntArray) -> int:
    """Count test images with a near copy among others, 40,000 in all at most.

    Args:
        images: (N, H, W, channels) uint8.
        train, test: rows.
    """
    share = min(1.0, AT_MOST / max(1, len(train) + len(test)))
    train, test = (own[:: int(np.ceil(1 / share))] for own in (train, test))
    rows = np.concatenate([train, test])
    found_n = np.zeros(len(rows), dtype=np.bool_)
    tested_n = np.arange(len(rows)) >= len(train)
    for a_P, b_P in _pairs(images, rows):
        apart_P = tested_n[a_P] != tested_n[b_P]
        found_n[a_P[apart_P]] = True
        found_n[b_P[apart_P]] = True
    return int((found_n & tested_n).sum())


def _pairs(images: ImageArray, rows: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Yield pairs of near copies, each once: the places of both among the rows."""
    if len(rows) < 2:
        return
    content_nT, brightness_n = thumbnails(images, rows)
    order = np.argsort(brightness_n, kind="stable")  # near copies are as bright: few are compared
    content_nT, brightness_n = np.round(content_nT[order] * _STEPS), brightness_n[order]
    ends_n = np.searchsorted(brightness_n, brightness_n + BRIGHTNESS, side="right")
    for start in range(0, len(rows), _BLOCK):
        stop = min(start + _BLOCK, len(rows))
        end = int(ends_n[stop - 1])
        alike = _alike(content_nT, brightness_n, start, stop, end)
        a_P, b_P = np.nonzero(alike > ALIKE * _STEPS**2)
        yield order[a_P + start], order[b_P + start]


def _alike(
    content_nT: Float32, brightness_n: FloatArray, start: int, stop: int, end: int
) -> Float32:
    """Return products of the rows of a block with those after them; 0 where brightness differs."""
    product: Float32 = content_nT[start:stop] @ content_nT[start:end].T
    product[np.arange(end - start)[None, :] <= np.arange(stop - start)[:, None]] = 0.0
    apart = brightness_n[None, start:end] - brightness_n[start:stop, None] > BRIGHTNESS
    product[apart] = 0.0
    return product
