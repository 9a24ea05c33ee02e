"""Labels replaced by what a ridge predicts of them on rows it has not seen, again and again.

Axes: N rows, R reduced features, S coordinates.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.discovery.blocks import Blocks, centre
from taskdiscovery.discovery.modes import above
from taskdiscovery.discovery.starts import directions
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Float32, IntArray

#: rounds at the end in which labels are signs, no longer squashed coordinates.
SIGNS = 3
#: rows that thresholds are found on, until the last.
FEW = 8192
#: directions that are iterated in noise.
_NOISE = 64


def settled(
    blocks: Blocks, start_NS: Float32, rounds: int, seed: int, groups_N: IntArray | None
) -> Float32:
    """Replace labels by what a ridge predicts of them on rows it has not seen, again and again.

    Args:
        blocks: the rows.
        start_NS: (N, S) coordinates to begin with.
        rounds: how often.
        seed: draws the halves.
        groups_N: (N,) classes that have thresholds of their own, or None.

    Returns:
        (N, S) held-out predictions.
    """
    z_NS = start_NS
    for number in range(rounds):
        above_NS, found = above(z_NS, groups_N, FEW)
        if number < rounds - SIGNS:
            above_NS *= (2 / found.spread_S).astype(np.float32)
            targets_NS = np.tanh(above_NS)
            centre(targets_NS, groups_N)
        else:
            targets_NS = signs(above_NS, groups_N)
        z_NS = blocks.held_out(targets_NS, generator(seed, "pursuit", "halves", number))
    return z_NS


def excess_of_noise(
    blocks: Blocks, rounds: int, seed: int, groups_N: IntArray | None, margin: float = 2.0
) -> float:
    """Find the excess that a labeling must have to say more than the same search finds in noise.

    Fixed points are chosen to fall in two, so that they do on Gaussian features, too: their J is
    0.7 to 0.75 in place of 2/π on some thousand rows. Starts of one table end within a narrow
    range; the margin is a multiple of that from their median to their greatest.

    Args:
        blocks: features, whose columns the noise is as wide as.
        rounds: of the search.
        seed: of the search.
        groups_N: (N,) classes that have thresholds of their own, or None.
        margin: the multiple.
    """
    rng = generator(seed, "pursuit", "noise")
    noise_NR = rng.standard_normal(blocks.table_NR.shape, dtype=np.float32)
    noise_NR *= blocks.table_NR.std(axis=0)
    centre(noise_NR, groups_N)
    noise = Blocks(noise_NR, blocks.sizes, blocks.strength, blocks.products)
    z_NS = settled(noise, directions(noise_NR, _NOISE, rng), rounds, seed, groups_N)
    found_S = above(z_NS, groups_N)[1].excess_S
    greatest, middle = float(found_S.max()), float(np.median(found_S))
    return greatest + margin * (greatest - middle)


def signs(above_NS: Float32, groups_N: IntArray | None) -> Float32:
    """Return (N, S) labels -1 and 1 of what lies below and above, centred, in each group if any."""
    targets_NS = np.where(above_NS > 0, 1, -1).astype(np.float32)
    centre(targets_NS, groups_N)
    return targets_NS
