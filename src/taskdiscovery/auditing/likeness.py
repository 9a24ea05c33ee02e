"""Which operation made the difference: noise, blur, resampling, JPEG, light or colour?

Statistics of whole pictures all move when a picture is redrawn, so which of them tells a class best
does not say what was done. What was done is told by doing it: an operation that changes pictures of
one class as the classes differ, content set apart, is what they differ by.

Axes: N images, K statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from taskdiscovery.auditing import rules, statistics
from taskdiscovery.auditing.seen import Seen
from taskdiscovery.auditing.views.view import Operation, View
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, Float32, FloatArray, ImageArray, IntArray

#: traces of the codec are left out: whatever redraws a picture removes those that it had.
_COMPARED = tuple(name for name in statistics.FAMILIES if name != statistics.CODEC)
_IMAGES, _OUTLIERS, _SHRUNK = 80, (0.005, 0.995), 0.02


@dataclass(frozen=True, eq=False, kw_only=True)
class Likeness:
    """How alike an operation and the difference of two classes are.

    Attributes:
        view: that the operation belongs to.
        cosine: between both changes of the statistics, in deviations within classes.
        upper: whether it is the class that has it, or the rest.
        operation: of that view, the strength whose change comes nearest to the difference.
    """

    view: View
    cosine: float
    upper: bool
    operation: Operation

    @property
    def weighted(self) -> float:
        """What likenesses are ranked by."""
        return self.cosine * (rules.CODEC_WEIGHT if self.view.name == statistics.CODEC else 1)


def likeness(
    seen: Seen,
    rows: IntArray,
    labels_N: BoolArray,
    content_N: FloatArray,
    views: Sequence[View],
) -> Likeness:
    """Return the view whose operations are most like what the classes differ by.

    Args:
        seen: the images.
        rows: (N,) those of them that are labelled.
        labels_N: True for images of the class.
        content_N: logit of the class, from what the operations do not change much.
        views: with operations.
    """
    scale = _Scale.of(seen, rows)
    table_NK = scale.apply({name: seen.statistics[name][rows] for name in _COMPARED})
    known_N3 = np.stack([np.ones(len(rows)), labels_N - 0.5, content_N], axis=1)
    fitted_3K, *_ = np.linalg.lstsq(known_N3, table_NK, rcond=None)
    turn_KK = _whitening(table_NK - known_N3 @ fitted_3K)

    def changes(upper: bool, operations: Sequence[Operation]) -> Iterator[FloatArray]:
        """Yield what each does to pictures of the class that lacks it, toward the other."""
        rng = generator(0, "likeness", str(upper))
        plain = np.sort(rng.permutation(np.flatnonzero(labels_N != upper))[:_IMAGES])
        images, before_K = seen.dataset.images[rows[plain]], table_NK[plain].mean(axis=0)
        for operation in operations:
            after_K = scale.apply(statistics.statistics(operation(images, rng))).mean(axis=0)
            yield (after_K - before_K) @ turn_KK * (1 if upper else -1)

    difference_K = fitted_3K[1] @ turn_KK
    found = [
        Likeness(view=view, cosine=_cosine(change_K, difference_K), upper=upper, operation=one)
        for upper in (True, False)
        for view in views
        for one, change_K in zip(view.likenesses, changes(upper, view.likenesses), strict=True)
    ]
    best = max(found, key=lambda one: one.weighted)
    # How strong it is, is told by the whole difference: content that a cue goes with takes from it.
    whole_K = (table_NK[labels_N].mean(axis=0) - table_NK[~labels_N].mean(axis=0)) @ turn_KK
    ladder = best.view.strengths or best.view.likenesses
    far = [float(np.linalg.norm(c_K - whole_K)) for c_K in changes(best.upper, ladder)]
    return replace(best, operation=ladder[int(np.argmin(far))])


@dataclass(frozen=True, eq=False)
class _Scale:
    """Statistics of (N, K), outliers drawn in, in their deviations."""

    low_K: FloatArray
    high_K: FloatArray
    spread_K: FloatArray

    @classmethod
    def of(cls, seen: Seen, rows: IntArray) -> _Scale:
        table_NK = _joined({name: seen.statistics[name][rows] for name in _COMPARED})
        low_K, high_K = np.quantile(table_NK, _OUTLIERS, axis=0)
        return cls(low_K, high_K, np.clip(table_NK, low_K, high_K).std(axis=0) + 1e-9)

    def apply(self, measured: dict[str, Float32]) -> FloatArray:
        table_NK = _joined({name: measured[name] for name in _COMPARED})
        return np.asarray(np.clip(table_NK, self.low_K, self.high_K) / self.spread_K)


def _joined(measured: dict[str, Float32]) -> FloatArray:
    return np.concatenate([measured[name] for name in _COMPARED], axis=1).astype(np.float64)


def _whitening(table_NK: FloatArray) -> FloatArray:
    """Return (K, K) that gives statistics a deviation of 1 in every direction that they vary in."""
    covariance = np.cov(table_NK.T)
    mean = float(np.trace(covariance)) / len(covariance)
    values, vectors = linalg.eigh(covariance + _SHRUNK * mean * np.eye(len(covariance)))
    return np.asarray((vectors * np.maximum(values, 1e-12) ** -0.5) @ vectors.T)


def _cosine(a_K: FloatArray, b_K: FloatArray) -> float:
    return float(a_K @ b_K) / max(float(np.linalg.norm(a_K) * np.linalg.norm(b_K)), 1e-12)


def changed(likeness: Likeness, images: ImageArray, seed: int) -> ImageArray:
    """Return pictures with the operation done to them."""
    return likeness.operation(images, generator(seed, "likeness", likeness.view.name))
