"""Two modes of a coordinate: the threshold between them, and how much of the variance they are.

Axes: N rows, S coordinates, G groups of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from taskdiscovery.types import BoolArray, Float32, FloatArray, IntArray

_EDGE = 0.1
#: rows of a group that has a threshold of its own.
_LEAST = 40
#: values that are sorted at once: some tens of megabytes.
_VALUES = 4_000_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Modes:
    """How coordinates fall in two.

    Attributes:
        threshold_S: the cut between the two sides.
        spread_S: standard deviation.
        bimodality_S: J = q (1 − q) (m₁ − m₀)² / Var, the share of variance between the sides.
        excess_S: J less that of a Gaussian which is cut at the same share q of the rows. An uneven
            cut of a Gaussian has a low J; so this compares cuts of any share.
    """

    threshold_S: FloatArray
    spread_S: FloatArray
    bimodality_S: FloatArray
    excess_S: FloatArray


def modes(coordinates_NS: Float32, most: int | None = None) -> Modes:
    """Cut each coordinate in two where J is largest (Otsu, 1979), within its quantiles 0.1 and 0.9.

    Args:
        coordinates_NS: (N, S), rows in random order.
        most: look at so many rows only.
    """
    N = len(coordinates_NS)
    if most is not None and most < N:
        coordinates_NS = coordinates_NS[np.linspace(0, N - 1, most).astype(np.int64)]
        N = most
    width = max(1, _VALUES // N)
    parts = [
        _cut(coordinates_NS[:, first : first + width])
        for first in range(0, coordinates_NS.shape[1], width)
    ]
    threshold_S, spread_S, bimodality_S, share_S = np.concatenate(parts, axis=1)
    return Modes(
        threshold_S=threshold_S,
        spread_S=spread_S,
        bimodality_S=bimodality_S,
        excess_S=bimodality_S - gaussian(share_S),
    )


def gaussian(share_S: FloatArray) -> FloatArray:
    """Return the J of a Gaussian that is cut so that these shares lie below; 2/π at a half."""
    density_S = norm.pdf(norm.ppf(share_S))
    return np.asarray(density_S**2 / (share_S * (1 - share_S)))


def above(
    coordinates_NS: Float32, groups_N: IntArray | None = None, most: int | None = None
) -> tuple[Float32, Modes]:
    """Return how far coordinates are above their thresholds, and how they fall in two.

    Args:
        coordinates_NS: (N, S), rows in random order.
        groups_N: (N,) classes that have thresholds of their own, where they have 40 rows; J is then
            the share of the variance inside of them.
        most: look at so many rows only.

    Returns:
        Coordinates less the thresholds, and the modes; with groups, their thresholds are 0.
    """
    if groups_N is None:
        found = modes(coordinates_NS, most)
        return coordinates_NS - found.threshold_S.astype(np.float32), found
    result_NS = coordinates_NS.copy()
    members = [np.flatnonzero(groups_N == g) for g in np.unique(groups_N)]
    for rows in members:
        result_NS[rows] -= result_NS[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
    pooled = modes(result_NS, most)
    variance_S, between_S, excess_S = np.zeros((3, coordinates_NS.shape[1]))
    for rows in members:
        own = pooled
        if len(rows) >= _LEAST:
            own = modes(result_NS[rows], most)
        own_S = len(rows) * own.spread_S**2
        variance_S += own_S
        between_S += own_S * own.bimodality_S
        excess_S += own_S * own.excess_S
        result_NS[rows] -= own.threshold_S.astype(np.float32)
    return result_NS, Modes(
        threshold_S=np.zeros_like(variance_S),
        spread_S=np.sqrt(variance_S / len(groups_N)),
        bimodality_S=between_S / variance_S,
        excess_S=excess_S / variance_S,
    )


def _cut(coordinates_NS: Float32) -> FloatArray:
    """Return threshold, spread, J and the share below of each coordinate: (4, S)."""
    N = len(coordinates_NS)
    sorted_NS = np.sort(coordinates_NS.astype(np.float64), axis=0)
    mean_S, spread_S = sorted_NS.mean(axis=0), sorted_NS.std(axis=0)
    below_NS = np.cumsum(sorted_NS - mean_S, axis=0)
    first, last = max(1, int(_EDGE * N)), min(N - 1, int(np.ceil((1 - _EDGE) * N)))
    cuts = np.arange(first, last + 1)  # so many rows lie below
    # The sum below a cut is −q₀ q₁ (m₁ − m₀) n: its square gives the variance between the sides.
    share_K = cuts / N
    between_KS = (below_NS[cuts - 1] / N) ** 2 / (share_K * (1 - share_K))[:, None]
    best_S = between_KS.argmax(axis=0)
    columns = np.arange(sorted_NS.shape[1])
    cut_S = cuts[best_S]
    threshold_S = (sorted_NS[cut_S - 1, columns] + sorted_NS[cut_S, columns]) / 2
    variance_S = np.maximum(spread_S**2, 1e-300)
    bimodality_S = between_KS[best_S, columns] / variance_S
    return np.stack([threshold_S, np.maximum(spread_S, 1e-12), bimodality_S, share_K[best_S]])


def distinct(
    sides_NS: BoolArray, quality_S: FloatArray, cap: float, least: float, most: int
) -> IntArray:
    """Choose coordinates greedily by quality, none of which says nearly what another says.

    Args:
        sides_NS: which side each row is on.
        quality_S: of each.
        cap: |φ|, the correlation of two binary labelings, at most.
        least: quality at least.
        most: how many at most.

    Returns:
        Positions, by falling quality.
    """
    signs_NS = np.where(sides_NS, 1.0, -1.0).astype(np.float32)
    signs_NS -= signs_NS.mean(axis=0)
    signs_NS /= np.maximum(np.linalg.norm(signs_NS, axis=0), 1e-6)
    chosen: list[int] = []
    for s in np.argsort(-quality_S, kind="stable"):
        if len(chosen) == most or quality_S[s] < least:
            break
        if not chosen or np.abs(signs_NS[:, chosen].T @ signs_NS[:, s]).max() <= cap:
            chosen.append(int(s))
    return np.array(chosen, dtype=np.int64)
