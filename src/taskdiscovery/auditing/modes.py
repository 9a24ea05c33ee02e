"""Is a score two heaps, one of images with a mark and one without, or one shifted by the class?

A cue that is there or not gives two shared heaps in which the classes have other shares; content
gives each class a heap of its own.

Axes: N images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from taskdiscovery.types import FloatArray, IntArray

_STEPS, _CLOSE = 200, 1e-7


@dataclass(frozen=True, eq=False, kw_only=True)
class Modes:
    """Two heaps of a score.

    Attributes:
        gain: log likelihood an image, in nats, over a heap for each class.
        distance: between the heaps, in their common deviation.
        shares: of the upper heap in class 0 and in class 1.
        upper_N: (N,) probability that an image lies in the upper heap.
    """

    gain: float
    distance: float
    shares: tuple[float, float]
    upper_N: FloatArray

    @property
    def difference(self) -> float:
        """By how much the shares of the two classes differ."""
        return abs(self.shares[1] - self.shares[0])


def modes(scores_N: FloatArray, labels_N: IntArray) -> Modes:
    """Fit both readings of a score.

    Args:
        scores_N: of any scale. Where a tenth of the values are tied, heaps mean nothing: the gain
            is then 0.
        labels_N: 0 or 1.
    """
    x_N = (scores_N - scores_N.mean()) / max(float(scores_N.std()), 1e-12)
    tied = np.unique(np.round(x_N, 9), return_counts=True)[1].max() > len(x_N) / 10
    if tied:
        return Modes(gain=0.0, distance=0.0, shares=(0.0, 0.0), upper_N=np.zeros_like(x_N))
    apart = _likelihood_apart(x_N, labels_N)
    best: Modes | None = None
    for start in (0.3, 0.5, 0.7):
        found = _two_heaps(x_N, labels_N, start, apart)
        if best is None or found.gain > best.gain:
            best = found
    assert best is not None
    return best


def _log_normal(x_N: FloatArray, mean: float, spread: float) -> FloatArray:
    return -0.5 * ((x_N - mean) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi)


def _likelihood_apart(x_N: FloatArray, labels_N: IntArray) -> float:
    """Return the mean log likelihood under one heap a class."""
    total = 0.0
    for c in (0, 1):
        own = x_N[labels_N == c]
        total += float(_log_normal(own, float(own.mean()), max(float(own.std()), 1e-3)).sum())
    return total / len(x_N)


def _two_heaps(x_N: FloatArray, labels_N: IntArray, start: float, apart: float) -> Modes:
    """Fit two shared heaps, whose shares differ by class, by expectation and maximization."""
    cut = np.quantile(x_N, start)
    means = [float(x_N[x_N <= cut].mean()), float(x_N[x_N > cut].mean())]
    spreads, shares, before = [0.5, 0.5], np.array([0.5, 0.5]), -np.inf
    upper_N = np.zeros_like(x_N)
    for _ in range(_STEPS):
        share_N = np.clip(shares[labels_N], 1e-6, 1 - 1e-6)
        low_N = np.log1p(-share_N) + _log_normal(x_N, means[0], spreads[0])
        high_N = np.log(share_N) + _log_normal(x_N, means[1], spreads[1])
        likelihood = float(np.logaddexp(low_N, high_N).mean())
        upper_N = special.expit(high_N - low_N)
        if likelihood - before < _CLOSE:
            break
        before = likelihood
        shares = np.array([float(upper_N[labels_N == c].mean()) for c in (0, 1)])
        for k, weight_N in enumerate((1 - upper_N, upper_N)):
            total = max(float(weight_N.sum()), 1e-9)
            means[k] = float(weight_N @ x_N) / total
            spreads[k] = max(float(weight_N @ (x_N - means[k]) ** 2 / total) ** 0.5, 0.05)
    common = ((spreads[0] ** 2 + spreads[1] ** 2) / 2) ** 0.5
    return Modes(
        gain=likelihood - apart,
        distance=abs(means[1] - means[0]) / common,
        shares=(float(shares[0]), float(shares[1])),
        upper_N=upper_N,
    )
