"""Who sees what: the partition into `train` and `test`, and the parts cut out of either.

Discovery sees `train` only; agreement is measured on `test` only; what is chosen is chosen on a
validation part cut out of `train`. All is drawn from the seed.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, IntArray

TEST_SHARE, TEST_AT_MOST = 0.1, 10_000
#: images of which a test part can be cut.
AT_LEAST = 20


def draw(count: int, seed: int) -> BoolArray:
    """Return (count,) True for `train`; a tenth, at most 10,000 images, is `test`.

    Raises:
        DataError: for fewer than 20 images, of which no test part can be cut.
    """
    if count < AT_LEAST:
        raise DataError(
            f"{count} images are too few to hold out a test part",
            hint=f"give at least {AT_LEAST} images; scores that mean anything need a few thousand",
        )
    train = np.ones(count, dtype=np.bool_)
    size = min(TEST_AT_MOST, round(count * TEST_SHARE))
    train[generator(seed, "partition").permutation(count)[:size]] = False
    return train


def sample(rows: IntArray, at_most: int | None, seed: int, purpose: str) -> IntArray:
    """Return at most so many of the rows, drawn from the seed, in ascending order."""
    if at_most is None or len(rows) <= at_most:
        return rows
    return np.sort(generator(seed, "sample", purpose).permutation(rows)[:at_most])
