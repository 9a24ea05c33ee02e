"""One scale for numbers and levels: the AUC of a property for a side of a task against the rest.

For numbers that is the chance that an image of the side has the greater value (ties count half).
For a level it is (1 + a - b) / 2, with a and b the rates of the level on the side and off it. The
*effect* is |2 AUC - 1|: for numbers the rank-biserial correlation, for levels the difference of
rates. It says how much of the task the property explains.

A rare level cannot explain much of a balanced task, even where all of its images lie on one side.
So beside the effect stands `hold`: phi over its greatest possible value given both rates, which is
1 where the level lies on one side as far as the rates allow.

Intervals are Wilson's, at the size of an independent sample that would have the variance of the
estimate (DeLong et al., 1988; over groups, Obuchowski, 1997). Tests are of scores: Mann-Whitney for
numbers, Fisher's exact test for levels; over groups, sums of scores by group and Student's t with
as many degrees of freedom as groups carry the sum.

Axes: N images, G groups, L levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from taskdiscovery.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Auc:
    """An AUC with its 95 % interval.

    Attributes:
        value, low, high: the AUC.
        influence_N: (N,) what each image adds to its error; sums to 0.
    """

    value: float
    low: float
    high: float
    influence_N: FloatArray

    @property
    def effect(self) -> tuple[float, float, float]:
        """|2 AUC - 1| with its interval, never below 0."""
        ends = 2 * self.low - 1, 2 * self.high - 1
        low, high = ends if self.value >= 0.5 else (-ends[1], -ends[0])
        return abs(2 * self.value - 1), max(0.0, low), max(0.0, high)


class Hold(NamedTuple):
    """How far a level lies on one side: 1 where it does as far as the rates allow."""

    value: float
    low: float
    #: whether the level leans to the side, rather than away from it.
    inside: bool


def auc(values_N: FloatArray, side_N: BoolArray, groups_N: IntArray | None = None) -> Auc:
    """Return the AUC of a number for a side; both the side and the rest must have images.

    Args:
        values_N: (N,) the number.
        side_N: (N,) who is on the side.
        groups_N: (N,) codes of what belongs together, or None.
    """
    m, n = int(side_N.sum()), int((~side_N).sum())
    ranks_N = stats.rankdata(values_N)
    placed_N = np.empty(len(values_N))
    placed_N[side_N] = (ranks_N[side_N] - stats.rankdata(values_N[side_N])) / n
    placed_N[~side_N] = 1 - (ranks_N[~side_N] - stats.rankdata(values_N[~side_N])) / m
    value = float(placed_N[side_N].mean())
    influence_N = (placed_N - value) / np.where(side_N, m, n)
    return with_interval(value, influence_N, side_N, groups_N)


def level_auc(level_N: BoolArray, side_N: BoolArray, groups_N: IntArray | None = None) -> Auc:
    """Return the AUC of a level for a side: (1 + rate on the side - rate off it) / 2."""
    m, n = int(side_N.sum()), int((~side_N).sum())
    a, b = float(level_N[side_N].mean()), float(level_N[~side_N].mean())
    influence_N = np.where(side_N, (level_N - a) / (2 * m), (b - level_N) / (2 * n))
    return with_interval((1 + a - b) / 2, influence_N, side_N, groups_N)


def with_interval(
    value: float, influence_N: FloatArray, side_N: BoolArray, groups_N: IntArray | None
) -> Auc:
    """Put Wilson's interval at the effective sample size around an AUC."""
    sums_G = _sums(influence_N, groups_N)
    variance = float((sums_G**2).sum()) * len(sums_G) / max(1, len(sums_G) - 1)
    if groups_N is None:
        fewest = min(int(side_N.sum()), int((~side_N).sum()))
    else:
        fewest = min(len(np.unique(groups_N[side_N])), len(np.unique(groups_N[~side_N])))
    # Without any spread (a perfect property) the rarer side is the sample.
    size = value * (1 - value) / variance if variance > 1e-15 else 0.0
    low, high = wilson(value, size or fewest, _freedom(sums_G, groups_N))
    return Auc(value=value, low=low, high=high, influence_N=influence_N)


def wilson(p: float, size: float, freedom: float = np.inf) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share p of `size` images, which need be no integer."""
    t = float(stats.t.ppf(0.975, freedom)) if np.isfinite(freedom) else 1.959964
    size = max(size, 1e-9)
    middle = (p + t**2 / (2 * size)) / (1 + t**2 / size)
    half = t * np.sqrt(p * (1 - p) / size + t**2 / (4 * size**2)) / (1 + t**2 / size)
    return max(0.0, float(min(middle - half, p))), min(1.0, float(max(middle + half, p)))


def p_of_number(values_N: FloatArray, side_N: BoolArray, groups_N: IntArray | None) -> float:
    """Return the two-sided p of independence of a number and a side."""
    ranks_N = stats.rankdata(values_N)
    ranks_N -= ranks_N.mean()
    scores_N = ranks_N * (side_N - side_N.mean())
    if groups_N is not None:
        return _p_of_groups(scores_N, groups_N)
    N, m = len(side_N), int(side_N.sum())
    variance = m * (N - m) / (N * (N - 1)) * float((ranks_N**2).sum())
    z = float(scores_N.sum()) / np.sqrt(max(variance, 1e-300))
    return float(2 * stats.norm.sf(abs(z)))


def p_of_level(level_N: BoolArray, side_N: BoolArray, groups_N: IntArray | None) -> float:
    """Return the two-sided p of independence of a level and a side."""
    if groups_N is not None:
        return _p_of_groups((level_N - level_N.mean()) * (side_N - side_N.mean()), groups_N)
    both, level, side = (int(x.sum()) for x in (level_N & side_N, level_N, side_N))
    table = [[both, level - both], [side - both, len(side_N) - level - side + both]]
    return float(stats.fisher_exact(table).pvalue)


def hold(level_N: BoolArray, side_N: BoolArray, groups_N: IntArray | None = None) -> Hold:
    """Return phi over its greatest possible value, with the lower end of its 95 % interval.

    With p and q the rates of level and side and p <= q, that is (share - q) / (1 - q), where
    `share` is the share of the level's images that lie on the side; and so by symmetry.
    """
    p, q = float(level_N.mean()), float(side_N.mean())
    if not (0 < p < 1 and 0 < q < 1):
        return Hold(0.0, 0.0, True)
    inside = float((level_N & side_N).mean()) >= p * q
    side_N, q = (side_N, q) if inside else (~side_N, 1 - q)
    within_N, other_N, base = (level_N, side_N, q) if p <= q else (side_N, level_N, p)
    chosen_N = within_N.astype(bool)
    share = float(other_N[chosen_N].mean())
    low = _share_low(other_N, chosen_N, groups_N, share)
    return Hold((share - base) / (1 - base), max(0.0, (low - base) / (1 - base)), inside)


def few(groups_N: IntArray | None) -> int | None:
    """Return how many groups there are, or None where every image stands by itself."""
    return None if groups_N is None else len(np.unique(groups_N))


def _share_low(
    other_N: BoolArray, chosen_N: BoolArray, groups_N: IntArray | None, share: float
) -> float:
    size = int(chosen_N.sum())
    if groups_N is None:
        return wilson(share, size)[0]
    own = groups_N[chosen_N]
    sums_G = _sums((other_N[chosen_N] - share) / size, own)
    variance = float((sums_G**2).sum()) * len(sums_G) / max(1, len(sums_G) - 1)
    wide = share * (1 - share) / variance if variance > 1e-15 else len(np.unique(own))
    return wilson(share, wide, _freedom(sums_G, own))[0]


def _sums(values_N: FloatArray, groups_N: IntArray | None) -> FloatArray:
    if groups_N is None:
        return values_N
    sums_G = np.bincount(groups_N, weights=values_N)[np.unique(groups_N)]
    return sums_G.astype(np.float64)


def _freedom(sums_G: FloatArray, groups_N: IntArray | None) -> float:
    """Degrees of freedom: how many groups carry the sum of squares, less one."""
    squares_G = sums_G**2
    if groups_N is None or not squares_G.any():
        return np.inf if groups_N is None else max(1.0, len(sums_G) - 1.0)
    return max(1.0, float(squares_G.sum() ** 2 / (squares_G**2).sum()) - 1)


def _p_of_groups(scores_N: FloatArray, groups_N: IntArray) -> float:
    sums_G = _sums(scores_N, groups_N)
    if len(sums_G) < 2 or not sums_G.any():
        return 1.0
    spread = np.sqrt(float((sums_G**2).sum()) * len(sums_G) / (len(sums_G) - 1))
    t = float(sums_G.sum()) / spread
    return float(2 * stats.t.sf(abs(t), _freedom(sums_G, groups_N)))
