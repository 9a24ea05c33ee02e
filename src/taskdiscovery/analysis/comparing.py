"""How often do tasks hold here and elsewhere? Rates by class and by level, with intervals.

A class whose rate on a task has moved is one that a network learnt by what it no longer has. Its
risk is the least movement that the interval of the difference allows (Newcombe's, 1998, from two
Wilson intervals), over the tasks; claims are controlled at a false-discovery rate over all pairs
(Benjamini and Hochberg) of Fisher's exact tests. Where images belong together, both take them for
as many independent ones as say as much of a rate (Kish's design effect, 1965).

Axes: N images, D tasks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from taskdiscovery.analysis.rules import RATE
from taskdiscovery.data import partition
from taskdiscovery.data.labels.human import LEVELS
from taskdiscovery.types import BoolArray, Dataset, Document, IntArray, Tasks

#: images of a class or level below which nothing is said of it.
LEAST = 5
ALL = "all"


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """Images with their tasks.

    Attributes:
        dataset: the images.
        tasks: their tasks.
        rows: those that are measured.
    """

    dataset: Dataset
    tasks: Tasks
    rows: IntArray

    def groups(self) -> dict[tuple[str, str], BoolArray]:
        """Return (n,) who belongs to each level of each factor, by factor and level."""
        data, rows = self.dataset, self.rows
        found = {(ALL, ""): np.ones(len(rows), dtype=np.bool_)}
        if data.labels is not None:
            for c, name in enumerate(data.classes):
                found["label", name] = data.labels[rows] == c
        attributes = pd.DataFrame() if data.attributes is None else data.attributes
        for column in attributes.columns:
            values = attributes[column].iloc[rows]
            if values.nunique() <= LEVELS:
                for level in values.dropna().unique():
                    found[str(column), str(level)] = (values == level).to_numpy(dtype=np.bool_)
        return found

    def together(self) -> IntArray | None:
        """Return (n,) the number of what each image belongs together with, where it is known."""
        return partition.draws(self.dataset.groups, self.rows)


def rates(here: Side, there: Side) -> pd.DataFrame:
    """Compare the rates of every task, for all images and for each level that both sides have.

    Args:
        here: images of the discovery that it has not seen.
        there: the others.

    Returns:
        One row per task, class of the task (`side`; class 1 alone of binary ones), factor and
        level: `here`, `there`, `difference`, `low`, `high`, `p`, `q`, `images_here`,
        `images_there`; empty where nothing can be compared.
    """
    ours, theirs = here.groups(), there.groups()
    pairs = [key for key in ours if key in theirs]
    own_n, other_n = here.together(), there.together()
    rows = [
        {"task": name, "side": side, "factor": factor, "level": level, **figures}
        for name, side, mine_n, theirs_n in _sides(here, there)
        for factor, level in pairs
        for figures in _figures(
            _Rate.of(mine_n, ours[factor, level], own_n),
            _Rate.of(theirs_n, theirs[factor, level], other_n),
        )
    ]
    table = pd.DataFrame(rows)
    if len(table):
        table["q"] = stats.false_discovery_control(table["p"].to_numpy(np.float64))
    return table


def _sides(here: Side, there: Side) -> Iterator[tuple[str, int, BoolArray, BoolArray]]:
    """Yield each class of each task, and who has it on either side."""
    for d, name in enumerate(here.tasks.names):
        k = here.tasks.k[d]
        mine_n, other_n = (s.tasks.labels_ND[s.rows, d] for s in (here, there))
        for side in range(1 if k == 2 else 0, k):
            yield name, side, mine_n == side, other_n == side


@dataclass(frozen=True, kw_only=True)
class _Rate:
    """How many of some images are on a side.

    Attributes:
        share: of the images.
        images: how many they are.
        draws, hits: as many independent images would say as much, and so many of those would be on
            the side; the images themselves where nothing belongs together.
    """

    share: float
    images: int
    draws: int
    hits: int

    @classmethod
    def of(cls, side_n: BoolArray, chosen_n: BoolArray, groups_n: IntArray | None) -> _Rate:
        """Count images, and what belongs together where that is known."""
        own, images = side_n[chosen_n], int(chosen_n.sum())
        count = int(own.sum())
        share = count / max(images, 1)
        if groups_n is None or not images:
            return cls(share=share, images=images, draws=images, hits=count)
        codes_n = np.unique(groups_n[chosen_n], return_inverse=True)[1]
        sums_G, sizes_G = np.bincount(codes_n, weights=own - share), np.bincount(codes_n)
        G, spread = len(sums_G), images * share * (1 - share)
        # Where all are on one side, nothing tells how alike groups are: then fully.
        effect = float((sizes_G**2).sum()) / images
        if spread > 0 and G > 1:
            effect = max(1.0, float((sums_G**2).sum()) * G / (G - 1) / spread)
        draws = max(1, round(images / effect))
        return cls(share=share, images=images, draws=draws, hits=round(share * draws))


def _figures(mine: _Rate, other: _Rate) -> Iterator[Document]:
    """Yield the figures of a pair of rates; nothing where either has too few images."""
    if min(mine.images, other.images) < LEAST:
        return
    low, high = difference(mine.hits, mine.draws, other.hits, other.draws)
    moved = other.share - mine.share
    if (mine.draws, other.draws) != (mine.images, other.images):  # hits are whole numbers
        shift = moved - (other.hits / other.draws - mine.hits / mine.draws)
        low, high = max(-1.0, low + shift), min(1.0, high + shift)
    table = [[own.hits, own.draws - own.hits] for own in (mine, other)]
    yield {
        "here": mine.share,
        "there": other.share,
        "difference": moved,
        "low": low,
        "high": high,
        "p": float(stats.fisher_exact(table).pvalue),
        "images_here": mine.images,
        "images_there": other.images,
    }


def difference(a: int, n: int, b: int, m: int) -> tuple[float, float]:
    """Return the 95 % interval of b/m − a/n (Newcombe, 1998, method 10)."""
    p, r = a / n, b / m
    first, second = (
        stats.binomtest(count, of).proportion_ci(method="wilson") for count, of in ((a, n), (b, m))
    )
    below = np.hypot(r - second.low, first.high - p)
    above = np.hypot(second.high - r, p - first.low)
    return float(r - p - below), float(r - p + above)


def classes_of(here: Side, there: Side, table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rank the classes of the label by how far their rates have moved.

    Args:
        here, there: as of `rates`.
        table: as `rates` returns it.

    Returns:
        One row per class, the one most at risk first, with `at_risk`; and `labels` where those of
        both sides were used, or `tasks` where the other side has none: a class is then at risk
        where it leans on a task whose rate over all images has moved.
    """
    if not len(table) or here.dataset.labels is None:
        return pd.DataFrame(), "tasks"
    own = table[table["factor"] == "label"]
    if len(own):
        ranked = own.rename(columns={"level": "class"}).drop(columns="factor")
        ranked["risk"] = np.maximum(0.0, np.maximum(ranked["low"], -ranked["high"]))
        return _first(ranked), "labels"
    rows = list(_leaning(here, table[table["factor"] == ALL]))
    return _first(pd.DataFrame(rows)) if rows else pd.DataFrame(), "tasks"


def _leaning(here: Side, table: pd.DataFrame) -> Iterator[Document]:
    """Yield each class and task: the movement of the task, as far as the class leans on it."""
    groups = here.groups()
    for (factor, level), own in groups.items():
        if factor != "label" or own.sum() < LEAST:
            continue
        for row in table.to_dict("records"):
            d = here.tasks.names.index(row["task"])
            rate = float((here.tasks.labels_ND[here.rows, d] == row["side"])[own].mean())
            lean = abs(rate - row["here"]) / max(row["here"], 1 - row["here"])
            moved = max(0.0, row["low"], -row["high"])
            kept = {str(k): v for k, v in row.items() if k not in ("factor", "level")}
            yield {"class": level, **kept, "class_rate": rate, "risk": moved * lean}


def _first(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return the row of largest risk for each class, the largest first."""
    ranked = ranked.assign(_size=ranked["difference"].abs())
    ranked = ranked.sort_values(["risk", "_size"], ascending=False, kind="stable")
    best = ranked.drop_duplicates("class").drop(columns="_size").reset_index(drop=True)
    best["at_risk"] = (best["q"] <= RATE) & (best["risk"] > 0)
    first = ["class", "at_risk", "risk", "task", "side", "here", "there", "difference"]
    return best[[*first, *(c for c in best.columns if c not in first)]]


def with_accuracy(
    classes: pd.DataFrame, here: Side, there: Side, right_n: Sequence[BoolArray]
) -> pd.DataFrame:
    """Put the accuracy of a learner beside each class.

    Args:
        classes: as `classes_of` returns it.
        here, there: the sides.
        right_n: (runs, n) who was predicted rightly, here and there.
    """
    table = classes.copy()
    for side, right_Kn, name in zip((here, there), right_n, ("here", "there"), strict=True):
        groups = side.groups()
        table[f"accuracy_{name}"] = [
            float(right_Kn[:, own].mean())
            if (own := groups.get(("label", c))) is not None and own.any()
            else np.nan
            for c in table["class"]
        ]
    return table
