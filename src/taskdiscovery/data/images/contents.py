"""What images are known by: hashes of their pixels, and what is odd about them.

Axes: N images.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from taskdiscovery.data.images.axes import blocks_of
from taskdiscovery.data.listing import hash_text
from taskdiscovery.errors import DataError
from taskdiscovery.types import ImageArray, Matrix


def hash_images(images: ImageArray | Matrix) -> str:
    """SHA-256 of all pixels and of the shape; of features likewise."""
    digest = hashlib.sha256(repr(images.shape).encode())
    for some in blocks_of(images):
        digest.update(np.ascontiguousarray(images[some]).data)
    return digest.hexdigest()


def fingerprint(pixels: str, ids: Sequence[str], labels: Any) -> str:
    """SHA-256 over images (by their hash), ids and labels."""
    codes = "" if labels is None else np.asarray(labels, dtype=np.int64).tobytes().hex()
    return hash_text([pixels, codes, *ids])


def digests(images: ImageArray | Matrix) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A 64-bit hash of each image; equal images have equal ones."""
    hashes = np.empty(len(images), dtype=np.uint64)
    for i, image in enumerate(images):
        digest = hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=8).digest()
        hashes[i] = int.from_bytes(digest, "big")
    return hashes


def look_for_problems(images: ImageArray, name: str) -> tuple[str, ...]:
    """Count constant images and exact duplicates.

    Raises:
        DataError: where there are several images, and every one is constant.
    """
    constant, hashes = 0, []
    for some in blocks_of(images):
        block = np.ascontiguousarray(images[some])
        flat = block.reshape(len(block), -1)
        constant += int((flat == flat[:, :1]).all(axis=1).sum())
        hashes.append(digests(block))
    if constant == len(images) > 1:  # a single picture to be labelled may be of one colour
        raise DataError(
            "every image is constant", where=name, hint="check how the images were written"
        )
    duplicates = len(images) - len(np.unique(np.concatenate(hashes)))
    found = []
    if constant:
        found.append(f"{constant} images are constant")
    if duplicates:
        found.append(f"{duplicates} images are exact copies of another")
    return tuple(found)
