"""Facts of the images' files as columns, and the single fact that tells the classes best.

Columns are indicators of levels and of bins, so that a linear reader sees any relation to a number.

Axes: N images, P columns, C classes, F folds, V values of a fact.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.data import partition
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, Float32, FloatArray, IdArray, IntArray

if TYPE_CHECKING:
    import pandas as pd

#: facts by their column, in the words of a sentence; of those that tell as much the first counts.
WORDS = {
    "format": "file format",
    "mode": "colour mode",
    "bits": "bits per sample",
    "icc": "colour profile",
    "exif": "presence of EXIF",
    "camera": "camera",
    "orientation": "orientation in the file",
    "progressive": "progressive coding",
    "quality": "JPEG quality",
    "quantization": "JPEG quantization tables",
    "width": "native width",
    "height": "native height",
    "size": "native size",
    "aspect": "native aspect",
    "time": "time stamp",
    "bytes": "file size",
    "bytes_per_pixel": "file size per pixel",
    "blockiness": "blockiness at native size",
    "noise": "noise at native size",
    "sharpness": "sharpness at native size",
}
_NUMBERS = (
    *("bytes", "bytes_per_pixel", "width", "height", "aspect", "quality", "time"),
    *("blockiness", "noise", "sharpness"),
)
_LOGARITHMS = ("bytes", "bytes_per_pixel", "width", "height", "aspect")
#: a level counts that so many images have, and such a share; and levels of a fact at most.
_FEWEST, _SHARE, _LEVELS = 5, 0.002, 32
#: bins of a number as columns; and, where it is asked which fact tells the classes best, bins at
#: most, of so many images or more.
_BINS, _FINE, _EACH = 8, 32, 20
_FOLDS = 3
#: accuracies that differ by less in their rounding are told as equal.
_DIGITS = 2


def file_columns(facts: pd.DataFrame) -> tuple[Float32, tuple[str, ...]]:
    """Return facts as columns for a linear reader.

    Args:
        facts: of the N images, as `Dataset.facts`; columns that it lacks are left out.

    Returns:
        (N, P) indicators of levels that at least 5 images and 0.2 % have (the 32 commonest of each
        fact), of about 8 bins of each number, of numbers that are missing, and each number or its
        logarithm, of mean 0 and deviation 1, 0 where missing; constant ones are left out, so that P
        may be 0. Then their names, `FACT: VALUE`.
    """
    N = len(facts)
    least = _least(N)
    found: list[Float32] = []
    names: list[str] = []

    def indicator(name: str, where_N: BoolArray) -> None:
        if least <= int(where_N.sum()) <= N - least:
            found.append(where_N.astype(np.float32))
            names.append(name)

    for fact, texts in _texts(facts):
        counts = texts.value_counts()
        counts = counts[counts >= least][:_LEVELS]
        # Of two levels one says it all.
        for level in counts.index[: 1 if texts.nunique() == 2 else None]:
            indicator(f"{fact}: {level}", (texts == level).to_numpy(dtype=np.bool_))
    for fact, values_N in _numbers(facts):
        known_N = np.isfinite(values_N)
        indicator(f"{fact}: missing", ~known_N)
        bins_N = binned(values_N, _BINS)
        for b in range(int(bins_N.max(initial=-1)) + 1):
            own = values_N[bins_N == b]
            indicator(f"{fact}: {_range(own)}", bins_N == b)
        if known_N.sum() >= least and np.ptp(values_N[known_N]):
            found.append(_standardized(values_N, fact in _LOGARITHMS))
            names.append(f"{fact}: {'logarithm' if fact in _LOGARITHMS else 'value'}")
    if not found:
        return np.zeros((N, 0), dtype=np.float32), ()
    return np.stack(found, axis=1), tuple(names)


def told_by(
    facts: pd.DataFrame, labels_N: IntArray, seed: int = 0, groups: IdArray | None = None
) -> list[tuple[str, float]]:
    """Say how well each single fact tells the classes, on images that were not looked at before.

    Each value of a fact, or bin of a number, stands for the class that it is commonest in on two
    thirds of the images; the rest is told by it. All thirds are told in turn.

    Args:
        facts: of the N images.
        labels_N: their classes; -1 for images that are left out, as are classes of fewer than three
            images.
        seed: decides the thirds.
        groups: (N,) what lies in one third together, or None.

    Returns:
        The fact in words and its balanced accuracy (mean over classes; 1 / C is chance), the best
        first; where these are equal to two digits, what stands first in `WORDS`. Facts that are the
        same for all images are left out. Empty for fewer than two classes.

    Raises:
        DataError: for fewer than three groups.
    """
    counts = np.bincount(labels_N[labels_N >= 0])
    kept = np.flatnonzero(counts >= _FOLDS)
    rows = np.flatnonzero(np.isin(labels_N, kept))
    if len(kept) < 2:
        return []
    labels_n = np.searchsorted(kept, labels_N[rows])
    folds_n = _folds(rows, labels_n, len(labels_N), seed, groups)
    found = []
    for fact, values_N in _coded(facts):
        values_n = np.unique(values_N[rows], return_inverse=True)[1]
        if values_n.max():
            found.append((fact, _accuracy(values_n, labels_n, folds_n)))
    order = list(WORDS)
    found.sort(key=lambda own: (-round(own[1], _DIGITS), order.index(own[0])))
    return [(WORDS[fact], accuracy) for fact, accuracy in found]


def binned(values_N: FloatArray, count: int) -> IntArray:
    """Return (N,) bins of about equal size, in ascending order; -1 where a value is not finite.

    Equal values share a bin. A value that would fill a bin has one of its own, and so has each
    where there are no more values than bins.
    """
    bins_N = np.full(len(values_N), -1, dtype=np.int64)
    known_N = np.isfinite(values_N)
    levels, inverse, counts = np.unique(values_N[known_N], return_inverse=True, return_counts=True)
    if not len(levels):
        return bins_N
    middle = (counts.cumsum() - counts / 2) / counts.sum()
    part = np.floor(count * middle)
    alone = counts * count >= counts.sum()
    new = (np.diff(part) > 0) | alone[1:] | alone[:-1] | (len(levels) <= count)
    bins_N[known_N] = np.concatenate([[0], new.cumsum()])[inverse]
    return bins_N


def _least(count: int) -> int:
    return max(_FEWEST, int(np.ceil(_SHARE * count)))


def _texts(facts: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Yield the facts that have levels, as texts."""
    for fact in WORDS:
        if fact == "size" and {"width", "height"} <= set(facts.columns):
            yield fact, facts["width"].astype(str) + " x " + facts["height"].astype(str)
        elif fact in facts.columns and fact not in _NUMBERS:
            yield fact, facts[fact].astype(str)


def _numbers(facts: pd.DataFrame) -> Iterator[tuple[str, FloatArray]]:
    for fact in _NUMBERS:
        if fact in facts.columns:
            yield fact, facts[fact].to_numpy(dtype=np.float64)


def _coded(facts: pd.DataFrame) -> Iterator[tuple[str, IntArray]]:
    """Yield (N,) values of each fact as whole numbers; rare levels share one."""
    least = _least(len(facts))
    for fact, texts in _texts(facts):
        values_N, counts = np.unique(
            texts.to_numpy(dtype=np.str_), return_inverse=True, return_counts=True
        )[1:]
        yield fact, np.where(counts[values_N] >= least, values_N, -1).astype(np.int64)
    for fact, numbers_N in _numbers(facts):
        yield fact, binned(numbers_N, min(_FINE, max(_BINS, len(facts) // _EACH)))


def _folds(
    rows: IntArray, labels_n: IntArray, N: int, seed: int, groups: IdArray | None
) -> IntArray:
    """Return (n,) which third each image is in; of equal rates of classes without groups."""
    rng = generator(seed, "audit facts")
    fold_N = np.zeros(N, dtype=np.int64)
    parts = [rows] if groups is not None else [rows[labels_n == c] for c in np.unique(labels_n)]
    for part in parts:
        for f, own in enumerate(partition.cut(part, _FOLDS, rng, groups)):
            fold_N[own] = f
    return fold_N[rows]


def _accuracy(values_n: IntArray, labels_n: IntArray, folds_n: IntArray) -> float:
    """Return the balanced accuracy of a fact, out of fold; ties are halved."""
    V, C = int(values_n.max()) + 1, int(labels_n.max()) + 1
    cells = np.bincount((folds_n * V + values_n) * C + labels_n, minlength=_FOLDS * V * C)
    held_FVC = cells.reshape(_FOLDS, V, C)
    fit_FVC = held_FVC.sum(axis=0) - held_FVC
    rates_FVC = fit_FVC / np.maximum(fit_FVC.sum(axis=1, keepdims=True), 1)
    best_FVC = rates_FVC == rates_FVC.max(axis=2, keepdims=True)
    right_C = (held_FVC * best_FVC / best_FVC.sum(axis=2, keepdims=True)).sum(axis=(0, 1))
    return float((right_C / np.bincount(labels_n)).mean())


def _standardized(values_N: FloatArray, logarithm: bool) -> Float32:
    """Return (N,) numbers of mean 0 and deviation 1 over those that are known; others are 0."""
    known_N = np.isfinite(values_N)
    known = np.log(np.maximum(values_N[known_N], 1e-6)) if logarithm else values_N[known_N]
    found = np.zeros(len(values_N), dtype=np.float32)
    found[known_N] = (known - known.mean()) / max(float(known.std()), 1e-12)
    return found


def _range(values: FloatArray) -> str:
    low, high = (f"{v:.0f}" if v == round(v) else f"{v:.6g}" for v in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"
