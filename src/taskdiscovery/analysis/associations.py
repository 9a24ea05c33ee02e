"""Which known properties go with a labeling, and how strongly?

Effects lie in [0, 1]: Cramér's V for categories; for numbers the rank-biserial correlation of two
classes, which is |2 AUC - 1|, or the root of epsilon squared of more (Kruskal and Wallis). Claims
are controlled at a false-discovery rate over all pairs of labeling and factor (Benjamini and
Hochberg). Rows without a value are left out and counted.

Axes: N images, D labelings, F factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats.contingency import association, crosstab

from taskdiscovery.data.statistics import image_statistics
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Dataset, FloatArray, IntArray

RATE = 0.05  # of false discoveries
DRAWS = 200  # of the bootstrap
LEVELS = 30  # text of more different values is no factor
NUMBERS = 10  # numbers of more different values are compared by rank, others as categories


@dataclass(frozen=True, kw_only=True)
class Association:
    """One factor and one labeling.

    Attributes:
        task: the labeling.
        factor: the property.
        source: `label`, `attribute` or `statistic`.
        measure: `V`, `rank-biserial` or `epsilon`.
        effect, low, high: in [0, 1], with a 95 % interval (percentiles of a bootstrap).
        p: of independence (chi-squared, Mann-Whitney or Kruskal-Wallis).
        q: the same, controlled over all pairs.
        images: how many had a value.
        missing: how many had none.
    """

    task: str
    factor: str
    source: str
    measure: str
    effect: float
    low: float
    high: float
    p: float
    q: float
    images: int
    missing: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Factor:
    """A property of each image.

    Attributes:
        source: `label`, `attribute` or `statistic`.
        values: (N,) numbers, or category codes.
        known: (N,) False where the value is missing.
        categories: how many, or 0 for numbers.
    """

    source: str
    values: FloatArray
    known: np.ndarray[tuple[int], np.dtype[np.bool_]]
    categories: int


def factor_table(dataset: Dataset, rows: IntArray) -> dict[str, Factor]:
    """Collect label, attributes and image statistics of some images.

    Columns of text with more than 30 different values (names, captions) are left out.
    """
    found: dict[str, Factor] = {}
    if dataset.labels is not None:
        labels = dataset.labels[rows]
        found["label"] = Factor(
            source="label",
            values=labels.astype(np.float64),
            known=labels >= 0,
            categories=len(dataset.classes),
        )
    if dataset.attributes is not None:
        for name in dataset.attributes.columns:
            factor = _attribute(dataset.attributes[name].iloc[rows])
            if factor is not None:
                found[str(name)] = factor
    if not dataset.has_images:
        return found
    statistics = image_statistics(dataset.images, rows)
    for name in statistics.columns:
        values = statistics[name].to_numpy(np.float64)
        found.setdefault(
            str(name),
            Factor(
                source="statistic",
                values=values,
                known=np.isfinite(values),
                categories=0,
            ),
        )
    return found


def associate(
    labelings: Mapping[str, IntArray],
    factors: Mapping[str, Factor],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Measure every pair of labeling and factor.

    Args:
        labelings: (N,) classes of each labeling; -1 where unknown.
        factors: properties of the same images; the one that a labeling was made of (`attr:age` of
            `age`, `label:0` of `label`) is not compared with it.
        seed: of the bootstrap.
        draws: of the bootstrap, at least 1; the intervals need a few hundred.

    Returns:
        One row per pair as `Association`, strongest first for each labeling.
    """
    rows = [
        _pair(task, labels, name, factor, seed, draws)
        for task, labels in labelings.items()
        for name, factor in factors.items()
        if name not in (task, _property_of(task))
    ]
    frame = pd.DataFrame([asdict(row) for row in rows if row is not None])
    if frame.empty:
        return frame
    frame["q"] = stats.false_discovery_control(frame["p"].to_numpy(np.float64))
    order = {task: i for i, task in enumerate(labelings)}
    frame["_order"] = frame["task"].map(order)
    return (
        frame.sort_values(["_order", "effect"], ascending=[True, False], kind="stable")
        .drop(columns="_order")
        .reset_index(drop=True)
    )


def _property_of(labeling: str) -> str:
    """Return the factor that a labeling was made of, by its name: `attr:age` of `age`."""
    kind, _, rest = labeling.partition(":")
    return rest if kind == "attr" else kind if kind == "label" else labeling


def _attribute(column: pd.Series) -> Factor | None:
    known = column.notna().to_numpy()
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and column.nunique() > NUMBERS:
        values = column.to_numpy(np.float64, na_value=np.nan)
        return Factor(source="attribute", values=values, known=np.isfinite(values), categories=0)
    if column.nunique() > LEVELS:
        return None
    codes, levels = pd.factorize(column, sort=False)
    return Factor(
        source="attribute",
        values=np.asarray(codes, dtype=np.float64),
        known=known & (codes >= 0),
        categories=len(levels),
    )


def _pair(
    task: str, labels_N: IntArray, name: str, factor: Factor, seed: int, draws: int
) -> Association | None:
    used = factor.known & (labels_N >= 0)
    labels, values = labels_N[used], factor.values[used]
    if len(np.unique(labels)) < 2 or len(np.unique(values)) < 2:
        return None
    rng = generator(seed, "association", task, name)
    if factor.categories:
        measure, (effect, low, high, p) = (
            "V",
            _categories(labels, values.astype(np.int64), rng, draws),
        )
    elif len(np.unique(labels)) == 2:
        measure, (effect, low, high, p) = "rank-biserial", _two_classes(labels, values, rng, draws)
    else:
        measure, (effect, low, high, p) = "epsilon", _more_classes(labels, values, rng, draws)
    return Association(
        task=task,
        factor=name,
        source=factor.source,
        measure=measure,
        effect=effect,
        low=low,
        high=high,
        p=p,
        q=p,
        images=int(used.sum()),
        missing=int((~factor.known).sum()),
    )


Figures = tuple[float, float, float, float]


def _categories(labels: IntArray, codes: IntArray, rng: np.random.Generator, draws: int) -> Figures:
    table = crosstab(labels, codes).count
    p = float(stats.chi2_contingency(table, correction=False).pvalue)
    effect = float(association(table, method="cramer"))
    drawn = rng.multinomial(table.sum(), table.ravel() / table.sum(), size=draws)
    low, high = np.quantile(_cramer(drawn.reshape(draws, *table.shape)), [0.025, 0.975])
    return effect, float(min(low, effect)), float(max(high, effect)), p


def _cramer(tables: IntArray) -> FloatArray:
    """Return Cramér's V of each of (draws, rows, columns) tables, 0 where one has but a line."""
    rows, columns = tables.sum(axis=2, keepdims=True), tables.sum(axis=1, keepdims=True)
    n = tables[0].sum()
    expected = rows * columns / n
    # Where nothing is expected nothing was drawn: such cells add nothing.
    chi2 = ((tables - expected) ** 2 / np.maximum(expected, 1 / n)).sum(axis=(1, 2))
    least = np.minimum((rows > 0).sum(axis=(1, 2)), (columns > 0).sum(axis=(1, 2))) - 1
    return np.where(least > 0, np.sqrt(chi2 / (n * np.maximum(least, 1))), 0.0)


def _two_classes(
    labels: IntArray, values: FloatArray, rng: np.random.Generator, draws: int
) -> Figures:
    upper = labels == labels.max()
    p = float(stats.mannwhitneyu(values[upper], values[~upper]).pvalue)
    # Sorted once: all that a resample needs is how often it has each value in each class.
    _, places = np.unique(values, return_inverse=True)
    cells, size, n = 2 * places + upper, 2 * (int(places.max()) + 1), len(labels)
    effect = _rank_biserial(np.bincount(cells, minlength=size))
    effects = [
        _rank_biserial(np.bincount(cells[rng.integers(0, n, min(n, 2000))], minlength=size))
        for _ in range(draws)
    ]
    low, high = _scaled(effect, effects, n)
    return effect, low, high, p


def _rank_biserial(counts: IntArray) -> float:
    """Return |2 AUC − 1| from counts of the values in rising order, of either class in turn."""
    lower, upper = counts[0::2], counts[1::2]
    pairs = int(lower.sum()) * int(upper.sum())
    if not pairs:
        return 0.0
    below = np.cumsum(lower) - lower / 2  # a tie counts half
    return float(abs(2 * (upper @ below) / pairs - 1))


def _more_classes(
    labels: IntArray, values: FloatArray, rng: np.random.Generator, draws: int
) -> Figures:
    effect, p = _epsilon(labels, values)
    n = len(labels)
    effects = [
        _epsilon(labels[drawn], values[drawn])[0]
        for drawn in (rng.integers(0, n, min(n, 2000)) for _ in range(draws))
    ]
    low, high = _scaled(effect, effects, n)
    return effect, low, high, p


def _epsilon(labels: IntArray, values: FloatArray) -> tuple[float, float]:
    groups = [values[labels == c] for c in np.unique(labels)]
    if len(groups) < 2 or len(np.unique(values)) < 2:
        return 0.0, 1.0
    h, p = stats.kruskal(*groups)
    return float(np.sqrt(max(0.0, h) / (len(labels) - 1))), float(p)


def _scaled(effect: float, effects: list[float], n: int) -> tuple[float, float]:
    """Percentiles around the estimate; resamples of 2,000 of n images spread wider by the root."""
    shrink = (min(n, 2000) / n) ** 0.5
    low, high = np.quantile(effects, [0.025, 0.975]) - np.median(effects)
    return max(0.0, effect + shrink * float(low)), min(1.0, effect + shrink * float(high))
