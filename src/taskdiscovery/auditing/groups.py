"""Groups within a class: cuts of its images that a linear learner repeats, and that fall in two.

They are found as `pursuit` finds tasks, on the images of one class alone, and only those are kept
that fall in two more clearly than the same search does on Gaussian features.

Axes: n images of a class, R reduced features, S starts, D cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from taskdiscovery.data.partition import codes
from taskdiscovery.discovery.blocks import Blocks, drawn
from taskdiscovery.discovery.modes import above, distinct
from taskdiscovery.discovery.settling import excess_of_noise, settled
from taskdiscovery.discovery.starts import clustered, directions
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.types import BoolArray, Float32, FloatArray, IdArray, IntArray

#: cuts of a class at most, and how alike two of them may be (|φ|).
CUTS, _CAP = 3, 0.5
#: principal components of the class that are looked at.
_COMPONENTS = 128
_ROUNDS, _DIRECTIONS, _CLUSTERS = 15, 64, (2, 3, 4, 6)
#: how far cuts must be above the clearest in noise, in what that one is above the middle of them:
#: none of 16 Gaussian classes reached it, 24 of 24 pairs of classes taken as one did.
_MARGIN = 1.0
#: blocks of rows, and the fewest that halves can be drawn from; strength of the ridges.
_BLOCKS, _FEWEST, _STRENGTH = 10, 5, 1.0
#: components that arbitrary cuts lie in, at most.
_ARBITRARY = 12


@dataclass(frozen=True, eq=False, kw_only=True)
class Class:
    """The images of a class, along their own principal components.

    Attributes:
        table_nR: centred.
        groups_n: what belongs together, "" for an image by itself; or None.
        seed: decides all that is drawn.
    """

    table_nR: Float32
    groups_n: IdArray | None
    seed: int

    @classmethod
    def of(cls, features_nR: Float32, groups_n: IdArray | None, seed: int) -> Class:
        """Turn features to the principal components of the class.

        Args:
            features_nR: reduced features of all classes, for the images of this one.
            groups_n: what belongs together, or None.
            seed: decides all that is drawn.
        """
        centred_nR = (features_nR - features_nR.mean(axis=0, dtype=np.float64)).astype(np.float64)
        R, most = centred_nR.shape[1], min(_COMPONENTS, centred_nR.shape[1])
        _, vectors_RR = linalg.eigh(centred_nR.T @ centred_nR, subset_by_index=[R - most, R - 1])
        vectors_RR = vectors_RR[:, ::-1]
        # An eigenvector may have either sign: the largest entry decides.
        vectors_RR *= np.sign(vectors_RR[np.abs(vectors_RR).argmax(axis=0), np.arange(most)])
        table_nR = (centred_nR @ vectors_RR).astype(np.float32)
        return cls(table_nR=table_nR, groups_n=groups_n, seed=seed)

    def cuts(self) -> FloatArray:
        """Return (n, D) how far images lie above the threshold of each cut, the clearest first.

        D is 0 where the class does not fall in two.
        """
        count = _BLOCKS
        if self.groups_n is not None:
            count = min(count, int(codes(self.groups_n).max()) + 1)
        if count < _FEWEST:
            return np.zeros((len(self.table_nR), 0))
        parts = drawn(
            len(self.table_nR), count, generator(self.seed, "within", "blocks"), self.groups_n
        )
        order_n = np.concatenate(parts)
        blocks = Blocks(self.table_nR[order_n], [len(part) for part in parts], _STRENGTH)
        z_nS = settled(blocks, self._starts()[order_n], _ROUNDS, self.seed, None)
        above_nS, found = above(z_nS)
        least = excess_of_noise(blocks, _ROUNDS, self.seed, None, _MARGIN)
        chosen = distinct(above_nS > 0, found.excess_S, _CAP, least, CUTS)
        cuts_nD = np.empty((len(order_n), len(chosen)))
        cuts_nD[order_n] = above_nS[:, chosen] / found.spread_S[chosen]
        return cuts_nD

    def arbitrary(self, count: int) -> FloatArray:
        """Return (n, count) coordinates along directions that mean nothing.

        Images on one end of such a direction are alike in some way, too, as those of a group are.
        """
        rng = generator(self.seed, "within", "arbitrary")
        return directions(self.table_nR[:, :_ARBITRARY], count, rng).astype(np.float64)

    def by_chance(self, size: int, count: int) -> list[IntArray]:
        """Draw groups of about a size by chance, as positions; what belongs together stays so."""
        rng, n = generator(self.seed, "within", "chance", size), len(self.table_nR)
        if self.groups_n is None:
            return [rng.permutation(n)[:size] for _ in range(count)]
        codes_n = codes(self.groups_n)
        places = [rng.permutation(int(codes_n.max()) + 1)[codes_n] for _ in range(count)]
        return [np.argsort(place_n, kind="stable")[:size] for place_n in places]

    def _starts(self) -> Float32:
        """Return (n, S) coordinates to begin with: clusters, each against the rest; directions."""
        clusters = [clustered(self.table_nR, k, derive(self.seed, "within", k)) for k in _CLUSTERS]
        sides: list[BoolArray] = [own == k for own in clusters for k in range(own.max() + 1)]
        rng = generator(self.seed, "within", "starts")
        others_nS = directions(self.table_nR, _DIRECTIONS, rng)
        return np.concatenate([np.stack(sides, axis=1).astype(np.float32), others_nS], axis=1)
