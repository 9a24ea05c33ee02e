"""Rows of reduced features in random blocks, and ridges that are fitted to some of the blocks.

The Gram matrix of each block is taken once. So a fold, which is a union of blocks, can be drawn
anew at the cost of a product with the targets and one small solve. A table that is large lies in
a temporary file, which is mapped: it is no anonymous memory.

Axes: N rows, P features, R reduced features, S targets, B blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from itertools import pairwise
from typing import Any

import numpy as np

from taskdiscovery.data import partition
from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.ridge import solve
from taskdiscovery.discovery.untrained import table
from taskdiscovery.features.products import CPU, Products, chunks
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.types import Float32, FloatArray, IdArray, IntArray, Matrix


class Blocks:
    """Rows in random blocks, and ridges that are fitted to some blocks and predict the others.

    Args:
        table_NR: centred; the rows of a block lie together.
        blocks: B, of equal size; or (B,) how many rows each has.
        strength: λ of every ridge.
        products: where they are taken. Targets and predictions lie there whole, the table where it
            fits.

    Raises:
        ValueError: where a block has no row.
    """

    def __init__(
        self,
        table_NR: Float32,
        blocks: int | Sequence[int],
        strength: float,
        products: Products = CPU,
    ) -> None:
        if isinstance(blocks, int):
            bounds = np.linspace(0, len(table_NR), blocks + 1).astype(int)
        else:
            bounds = np.cumsum([0, *blocks])
        if np.diff(bounds).min() < 1:
            raise ValueError(f"{len(table_NR)} rows do not fill {len(bounds) - 1} blocks")
        self.table_NR, self.strength, self.products = table_NR, strength, products
        self.places = [slice(a, b) for a, b in pairwise(bounds.tolist())]
        self._held = products.hold(table_NR)
        with products.exact():
            self.grams = [self._products(own, self._held) for own in self.places]

    @property
    def sizes(self) -> list[int]:
        """How many rows each block has."""
        return [place.stop - place.start for place in self.places]

    def halves(self) -> list[Blocks]:
        """Return the first blocks and the last as tables of their own, which share the memory."""
        return [self.part(own) for own in np.array_split(np.arange(len(self.places)), 2)]

    def part(self, chosen: IntArray) -> Blocks:
        """Return some blocks as a table of their own; neighbours share the memory."""
        own, picked = copy(self), [self.places[b] for b in chosen]
        if picked[-1].stop - picked[0].start == self._rows(chosen):
            whole = slice(picked[0].start, picked[-1].stop)
            own.table_NR = self.table_NR[whole]
            own._held = self.products.part(self._held, whole)
        else:
            own.table_NR = np.concatenate([self.table_NR[place] for place in picked])
            own._held = self.products.hold(own.table_NR)
        bounds = np.cumsum([0, *(place.stop - place.start for place in picked)]).tolist()
        own.places = [slice(a, b) for a, b in pairwise(bounds)]
        own.grams = [self.grams[b] for b in chosen]
        return own

    def held_out(self, targets_NS: Float32, rng: np.random.Generator, folds: int = 2) -> Float32:
        """Predict each fold of the blocks by a ridge that is fitted to the other folds.

        Args:
            targets_NS: (N, S), centred.
            rng: draws the folds.
            folds: how many; halves by default.

        Returns:
            (N, S) predictions, centred within each fold.
        """
        products, order = self.products, rng.permutation(len(self.places))
        targets = products.put(targets_NS)
        with products.exact():
            cross = [self._products(own, targets) for own in self.places]
            result = products.like(targets)
            for held in np.array_split(order, folds):
                weights = self._weights(cross, np.setdiff1d(order, held)).astype(np.float32)
                self._predict_fold(held, products.put(weights), result)
        found_NS: Float32 = products.get(result)
        return found_NS

    def _predict_fold(self, held: IntArray, weights: Any, result: Any) -> None:
        """Write the predictions of some blocks, centred, into those of all."""
        total = self.products.zeros(weights.shape[1])
        for rows in [piece for b in held for piece in _cut(self.places[b])]:
            result[rows] = self._held[rows] @ weights
            total += self.products.sums(result[rows])
        mean_S = (self.products.get(total) / self._rows(held)).astype(np.float32)
        mean = self.products.put(mean_S)
        for b in held:
            result[self.places[b]] -= mean

    def fit(self, targets_NS: Float32) -> FloatArray:
        """Return the (R, S) weights of one ridge on all rows."""
        targets = self.products.put(targets_NS)
        with self.products.exact():
            cross = [self._products(own, targets) for own in self.places]
        return self._weights(cross, np.arange(len(self.places)))

    def predict(self, weights_RS: FloatArray) -> Float32:
        """Return the (N, S) products of all rows with some weights."""
        weights = self.products.put(weights_RS.astype(np.float32))
        result = self.products.empty(len(self.table_NR), weights.shape[1])
        with self.products.exact():
            for rows in subspace.blocks(len(self.table_NR)):
                result[rows] = self._held[rows] @ weights
        found_NS: Float32 = self.products.get(result)
        return found_NS

    def _weights(self, cross: list[FloatArray], chosen: IntArray) -> FloatArray:
        gram_RR = np.sum([self.grams[b] for b in chosen], axis=0)
        cross_RS = np.sum([cross[b] for b in chosen], axis=0)
        return solve(gram_RR, cross_RS, self._rows(chosen), self.strength)

    def _rows(self, chosen: IntArray) -> int:
        return sum(self.places[b].stop - self.places[b].start for b in chosen)

    def _products(self, own: slice, other: Any) -> FloatArray:
        """Return (R, S) Xᵀ T of one block, summed in float64; T may be the table that is held."""
        total: Any = None
        for rows in _cut(own):
            x_nR = self._held[rows]
            t_nS = x_nR if other is self._held else other[rows]
            if total is None:
                total = self.products.zeros(x_nR.shape[1], t_nS.shape[1])
            total += x_nR.T @ t_nS
        found_RS: FloatArray = self.products.get(total)
        return found_RS


def _cut(own: slice) -> list[slice]:
    return [
        slice(own.start + piece.start, own.start + piece.stop)
        for piece in subspace.blocks(own.stop - own.start)
    ]


def drawn(
    N: int, count: int, rng: np.random.Generator, groups: IdArray | None = None
) -> list[IntArray]:
    """Return positions in random blocks of equal size, rising within each block.

    Args:
        N: how many there are.
        count: of blocks.
        rng: draws them.
        groups: (N,) what is kept in one block; blocks are then of about equal size.
    """
    if groups is not None:
        return [np.sort(part) for part in partition.cut(np.arange(N), count, rng, groups)]
    bounds = np.linspace(0, N, count + 1).astype(int)
    order_N = rng.permutation(N)
    return [np.sort(order_N[a:b]) for a, b in pairwise(bounds.tolist())]


def reduced(
    features: Matrix, rows_N: IntArray, reduction: Reduction, products: Products = CPU
) -> Float32:
    """Return the (N, R) reduced features of some rows; on disk where they are many.

    Args:
        features: (all rows, P), maybe memory-mapped.
        rows_N: in the order that is wanted.
        reduction: measured on training rows.
        products: where they are taken.
    """
    table_NR = table((len(rows_N), reduction.matrix_PR.shape[1]))
    # In rising order, so that features are read once, from their beginning.
    for places in chunks(np.argsort(rows_N)):
        table_NR[places] = reduction.apply(features, rows_N[places], products)
    return table_NR


def centre(table_NS: Float32, groups_N: IntArray | None = None) -> FloatArray:
    """Subtract the means of the columns, in place.

    Args:
        table_NS: the table.
        groups_N: (N,) classes; the means of each are taken, in place of those of all rows.

    Returns:
        The (G, S) means.
    """
    group_N = np.zeros(len(table_NS), dtype=np.int64)
    if groups_N is not None:
        group_N = np.unique(groups_N, return_inverse=True)[1]
    counts_G = np.bincount(group_N)
    sums_GS = np.zeros((len(counts_G), table_NS.shape[1]))
    for rows in subspace.blocks(len(table_NS)):
        if groups_N is None:
            sums_GS[0] += table_NS[rows].sum(axis=0, dtype=np.float64)
        else:
            np.add.at(sums_GS, group_N[rows], table_NS[rows])
    means_GS = sums_GS / counts_G[:, None]
    less_GS = means_GS.astype(np.float32)
    for rows in subspace.blocks(len(table_NS)):
        table_NS[rows] -= less_GS[0] if groups_N is None else less_GS[group_N[rows]]
    return means_GS
