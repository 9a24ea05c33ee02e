"""Which known properties go with a labeling, and how strongly?

Every row is on one scale, the AUC of `measures`. For each side of a labeling (class 1 of a binary
one, every class of more) there is a row per number and a row per level of each factor. A factor of
more than two levels has a row of its own, too: its *grouping*, the AUC of the share of the side
among a level's images, taken from other images than those it is used on (five folds). Numbers that
go with a side by bands, and not by their order, are treated alike, with ten bands for levels.
Labelings of more than two classes have such a row for every factor, the mean over their classes.

Claims are controlled at a false-discovery rate over all rows (Benjamini and Hochberg). Images
without a value are left out and counted. Where images belong to groups, intervals and tests are
those of groups.

Axes: N images, D labelings, C classes, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import linear_sum_assignment
from scipy.stats.contingency import crosstab

from taskdiscovery.analysis import measures
from taskdiscovery.analysis.measures import Auc
from taskdiscovery.analysis.properties import Factor, factor_table, property_of
from taskdiscovery.analysis.rules import BANDS_GAIN, RATE
from taskdiscovery.data import partition
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, FloatArray, IdArray, IntArray

__all__ = ["RATE", "Association", "Factor", "associate", "factor_table"]

FOLDS, BANDS = 5, 10
#: labelings of more classes have rows of all classes together alone, over so many commonest ones.
SIDES = 30
JOINT = ""  # the side of a row that is about all classes


@dataclass(frozen=True, kw_only=True)
class Association:
    """One property and one side of a labeling.

    Attributes:
        task: the labeling.
        side: its class that is set against the rest; "" where it is about all classes.
        rest: the other class of two; "" of more.
        factor: the property.
        level: its level; "" for numbers and for all levels together.
        source: `label`, `attribute` or `statistic`.
        kind: `number`, `level`, `grouping` (all levels) or `bands` (of a number).
        auc, effect, low, high: |2 AUC - 1| is the effect, with a 95 % interval.
        rate_side, rate_rest: of the level, on the side and off it; NaN for others.
        share, side_rate: how many of the level's images, and of all, lie on the side.
        hold, hold_low: phi over its greatest possible value, and the lower end of its interval.
        matching: kappa of the best one-to-one matching of levels and classes; of groupings, and of
            a level of two.
        count: images of the level; of all for others.
        p, q: of independence; the same, controlled over all rows.
        images, missing: how many had a value, and how many had none.
    """

    task: str
    side: str
    rest: str
    factor: str
    level: str
    source: str
    kind: str
    auc: float
    effect: float
    low: float
    high: float
    rate_side: float = np.nan
    rate_rest: float = np.nan
    share: float = np.nan
    side_rate: float = np.nan
    hold: float = np.nan
    hold_low: float = np.nan
    matching: float = np.nan
    count: int
    p: float
    q: float
    images: int
    missing: int


def associate(
    labelings: Mapping[str, IntArray],
    factors: Mapping[str, Factor],
    *,
    seed: int = 0,
    groups: IdArray | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> pd.DataFrame:
    """Measure every labeling against every factor.

    Args:
        labelings: (N,) classes of each labeling; -1 where unknown.
        factors: properties of the same images; the one that a labeling was made of (`attr:age` of
            `age`, `label:0` of `label`) is not compared with it.
        seed: of the folds.
        groups: (N,) what belongs together, or None.
        classes: names of the classes of a labeling; their numbers by default.

    Returns:
        The fields of `Association`, strongest first for each labeling.
    """
    groups_N = None if groups is None else partition.codes(groups)
    found: list[Association] = []
    for task, labels_N in labelings.items():
        names = (classes or {}).get(task)
        for name, factor in factors.items():
            if name not in (task, property_of(task)):
                pair = _Pair(task, labels_N, name, factor, groups_N, seed)
                found += pair.rows(names)
    frame = pd.DataFrame([asdict(row) for row in found])
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


class _Pair:
    """A labeling and a factor, on the images that have both."""

    def __init__(
        self,
        task: str,
        labels_N: IntArray,
        name: str,
        factor: Factor,
        groups_N: IntArray | None,
        seed: int,
    ) -> None:
        used_N = factor.known & (labels_N >= 0)
        self.labels_N, self.values_N = labels_N[used_N], factor.values[used_N]
        self.groups_N = None if groups_N is None else groups_N[used_N]
        self.rng = generator(seed, "association", task, name)
        self.factor = factor
        self.about = {"task": task, "factor": name, "source": factor.source, "rest": ""}
        self.counts = {"images": int(used_N.sum()), "missing": int((~factor.known).sum())}
        self.classes = np.unique(self.labels_N)

    def rows(self, names: Sequence[str] | None) -> list[Association]:
        """Return the rows of all sides; none where the labeling or the factor is constant."""
        if len(self.classes) < 2 or len(np.unique(self.values_N)) < 2:
            return []
        binary = len(self.classes) == 2
        sides = self.classes[1:] if binary else self.classes
        sides = sides[:0] if len(sides) > SIDES else sides
        found = []
        if binary:
            self.about["rest"] = str(self.classes[0]) if names is None else names[self.classes[0]]
        for c in sides:
            side_N = self.labels_N == c
            name = str(c) if names is None else str(names[c])
            rows = self._levels(name, side_N) if self.factor.levels else self._number(name, side_N)
            found += list(rows)
        if not binary:
            counts = np.bincount(self.labels_N)[self.classes]
            most = np.sort(self.classes[np.argsort(-counts, kind="stable")[:SIDES]])
            found.append(self._grouping(JOINT, self.labels_N == most[-1], most))
        elif len(self.factor.levels) > 2:
            found.append(self._grouping(found[0].side, self.labels_N == sides[0], sides))
        if not self.factor.levels and binary:
            bands = self._grouping(found[0].side, self.labels_N == sides[0], sides)
            gain = (bands.effect - found[0].effect) / 2
            if gain >= BANDS_GAIN and bands.low > found[0].high:
                found = [bands]
        return found

    def _number(self, side: str, side_N: BoolArray) -> Iterator[Association]:
        found = measures.auc(self.values_N, side_N, self.groups_N)
        p = measures.p_of_number(self.values_N, side_N, self.groups_N)
        yield self._row(side, "number", found, p, count=len(side_N))

    def _levels(self, side: str, side_N: BoolArray) -> Iterator[Association]:
        codes_N = self.values_N.astype(np.int64)
        present = [code for code in range(len(self.factor.levels)) if (codes_N == code).any()]
        both = len(present) == 2
        if both:  # one says all: the greater number, or the one that leans to the side
            share = [float(side_N[codes_N == code].mean()) for code in present]
            first = self.factor.ordered or share[1] >= share[0]
            present = present[1:] if first else present[:1]
        for code in present:
            level_N = codes_N == code
            held = measures.hold(level_N, side_N, self.groups_N)
            yield self._row(
                side,
                "level",
                measures.level_auc(level_N, side_N, self.groups_N),
                measures.p_of_level(level_N, side_N, self.groups_N),
                level=self.factor.levels[code],
                count=int(level_N.sum()),
                rate_side=float(level_N[side_N].mean()),
                rate_rest=float(level_N[~side_N].mean()),
                share=float(side_N[level_N].mean()),
                hold=held.value,
                hold_low=held.low,
                side_rate=float(side_N.mean()),
                matching=_matching(self.labels_N, codes_N) if both else np.nan,
            )

    def _grouping(self, side: str, side_N: BoolArray, sides: IntArray) -> Association:
        """Return the row of all levels together, for one side or as a mean over all classes."""
        codes_N, kind = self.values_N.astype(np.int64), "grouping"
        if not self.factor.levels:
            edges = np.quantile(self.values_N, np.linspace(0, 1, BANDS + 1)[1:-1])
            codes_N, kind = np.searchsorted(edges, self.values_N), "bands"
        fold_N = self._folds()
        each = []
        for c in sides:
            own_N = self.labels_N == c
            each.append(measures.auc(_shares(codes_N, own_N, fold_N), own_N, self.groups_N))
        if len(each) == 1:
            found = each[0]
        else:
            influence_N = np.mean([one.influence_N for one in each], axis=0)
            value = float(np.mean([one.value for one in each]))
            found = measures.with_interval(value, influence_N, side_N, self.groups_N)
        if found.value < 0.5:  # worse than chance on other images: nothing is known
            found = replace(found, value=0.5, low=0.5, high=max(0.5, found.high))
        matching = _matching(self.labels_N, codes_N) if kind == "grouping" else np.nan
        p = self._p_of_grouping(codes_N, found)
        return self._row(side, kind, found, p, count=len(codes_N), matching=matching)

    def _p_of_grouping(self, codes_N: IntArray, found: Auc) -> float:
        if self.groups_N is None:
            table = crosstab(self.labels_N, codes_N).count
            return float(stats.chi2_contingency(table, correction=False).pvalue)
        sums_G = np.bincount(self.groups_N, weights=found.influence_N)
        spread = float(np.sqrt((sums_G**2).sum()))
        freedom = max(1, len(np.unique(self.groups_N)) - 1)
        return float(stats.t.sf((found.value - 0.5) / max(spread, 1e-12), freedom))

    def _folds(self) -> IntArray:
        """Return (N,) folds: groups together, else every class in each."""
        fold_N = np.zeros(len(self.labels_N), dtype=np.int64)
        if self.groups_N is not None:
            number_G = self.rng.permutation(int(self.groups_N.max()) + 1) % FOLDS
            return number_G[self.groups_N].astype(np.int64)
        for c in self.classes:
            rows = np.flatnonzero(self.labels_N == c)
            fold_N[self.rng.permutation(rows)] = np.arange(len(rows)) % FOLDS
        return fold_N

    def _row(self, side: str, kind: str, found: Auc, p: float, **more: object) -> Association:
        effect, low, high = found.effect
        return Association(
            side=side,
            kind=kind,
            auc=found.value,
            effect=effect,
            low=low,
            high=high,
            p=p,
            q=p,
            **{"level": "", **self.about, **self.counts, **more},  # type: ignore[arg-type]
        )


def _shares(codes_N: IntArray, side_N: BoolArray, fold_N: IntArray) -> FloatArray:
    """Return the share of the side among an image's level, as the other folds have it."""
    L = int(codes_N.max()) + 1
    out_N = np.empty(len(codes_N))
    for fold in range(FOLDS):
        own_N = fold_N == fold
        other_N = ~own_N
        if not other_N.any():
            out_N[own_N] = 0.5
            continue
        rate = float(side_N[other_N].mean())
        count_L = np.bincount(codes_N[other_N], minlength=L)
        on_side_L = np.bincount(codes_N[other_N & side_N], minlength=L)
        out_N[own_N] = ((on_side_L + 2 * rate) / (count_L + 2))[codes_N[own_N]]
    return out_N


def _matching(labels_N: IntArray, codes_N: IntArray) -> float:
    """Return the kappa of labels and levels under the best one-to-one renaming."""
    table = crosstab(labels_N, codes_N).count / len(labels_N)
    rows, columns = linear_sum_assignment(-table)
    agreed = float(table[rows, columns].sum())
    chance = float((table.sum(axis=1)[rows] * table.sum(axis=0)[columns]).sum())
    return (agreed - chance) / (1 - chance) if chance < 1 else 0.0
