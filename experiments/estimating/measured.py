"""What estimators missed: in distribution, under corruption, on adversarial splits.

A miss is the estimate less the truth. Means have 95 % intervals by a bootstrap that draws whole
clusters: labelings with all their seeds, kinds of corruption, cuts.

Axes: K runs, n images, m calibration images, C classes, L labelings or domains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from experiments.estimating.parts import TESTED
from experiments.ledger import Arrays, Ledger
from experiments.records import Row
from taskdiscovery.data.corruptions import CORRUPTIONS
from taskdiscovery.estimation.case import Case
from taskdiscovery.estimation.curve import Agreed, Curve
from taskdiscovery.estimation.estimators import ESTIMATORS
from taskdiscovery.estimation.limits import bound
from taskdiscovery.estimation.line import Line
from taskdiscovery.estimation.range import Sides, accuracy_range
from taskdiscovery.estimation.recommending import recommended
from taskdiscovery.estimation.shifts import Shifts, figures, known_figures
from taskdiscovery.types import FloatArray

#: stated coverage of intervals, and of the range.
LEVEL, RANGE_LEVEL = 0.9, 0.95
#: of ranges that are surer of less, to see what width buys.
LOWER_LEVELS = (0.5, 0.8)
#: a miss that is asked for under corruption.
ASKED = 0.05
MADE, RECOMMENDED = "made-shifts", "as recommended"
#: held-out images that are corrupted to calibrate; as many as `estimate` takes.
MADE_IMAGES = 500
_DRAWS = 2000


def keys(ledger: Ledger, kind: str) -> pd.DataFrame:
    """Return learner, seed and the rest of every key of a kind."""
    rows = [key.split(" ", 3) for key, _ in ledger.all(kind)]
    table = pd.DataFrame(
        [[*row, ""][:4] for row in rows], columns=["kind", "learner", "seed", "of"]
    )
    return table.astype({"seed": int})


def labelings(ledger: Ledger, learner: str) -> Row:
    """Tell accuracy from agreement, of each labeling by a fit to the others of its seed."""
    rows = []
    for key, own in ledger.all("labeling"):
        _, its, seed, name = key.split(" ", 3)
        if its == learner:
            agreed = Agreed.of(own["predicted"].astype(np.int64), own["rates"])
            accuracy = float((own["predicted"] == own["labels"]).mean())
            rows.append(
                {"labeling": name, "kind": name.split()[0], "seed": int(seed), **vars(agreed)}
                | {"kappa": agreed.kappa, "accuracy": accuracy}
            )
    seeds = [own for _, own in pd.DataFrame(rows).groupby("seed")]
    whole = max(len(own) for own in seeds)  # a seed that is under way is left out
    table = pd.concat([_told(own) for own in seeds if len(own) == whole])
    ways = ("agreement", "line", "curve")
    return {
        "labelings": int(table["labeling"].nunique()),
        "seeds": sorted(set(table["seed"].tolist())),
        "absolute miss": {
            way: mean_of(table[f"{way} miss"].abs(), table["labeling"]) for way in ways
        },
        "largest miss": {way: round(float(table[f"{way} miss"].abs().max()), 4) for way in ways},
        "by seed": {
            way: table[f"{way} miss"].abs().groupby(table["seed"]).mean().round(4).tolist()
            for way in ways
        },
        "coverage": {
            way: mean_of(table[f"{way} inside"], table["labeling"]) for way in ("line", "curve")
        },
        "median width": {
            way: round(float(table[f"{way} width"].median()), 4) for way in ("line", "curve")
        },
        "mean miss by kind": {
            way: table.groupby("kind")[f"{way} miss"].mean().round(4).to_dict() for way in ways
        },
        "rows": table.round(4).to_dict("records"),
    }


def _told(table: pd.DataFrame) -> pd.DataFrame:
    """Add what each way tells of each labeling, fitted to all others."""
    table = table.reset_index(drop=True)
    columns = (table[name].to_numpy() for name in ("score", "chance", "right"))
    given = [Agreed(score=a, chance=b, right=c) for a, b, c in zip(*columns, strict=True)]
    scores_L, truth_L = table["score"].to_numpy(), table["accuracy"].to_numpy()
    table["agreement miss"] = scores_L - truth_L
    for i, own in enumerate(given):
        line = Line.fit(np.delete(scores_L, i), np.delete(truth_L, i))
        curve = Curve.fit(given[:i] + given[i + 1 :], np.delete(truth_L, i))
        ends = {"line": line.interval(own.score, LEVEL), "curve": curve.interval(own, LEVEL)}
        told = {"line": line.predict(own.score), "curve": curve.predict(own)}
        for way, (low, high) in ends.items():
            table.loc[i, f"{way} miss"] = told[way] - truth_L[i]
            table.loc[i, f"{way} inside"] = float(low <= truth_L[i] <= high)
            table.loc[i, f"{way} width"] = high - low
    return table


def corruptions(ledger: Ledger, learner: str) -> Row:
    """Ask every estimator about corrupted images; made shifts of the same kind are left out."""
    found = []
    for key, own in ledger.all("corruption"):
        _, its, seed = key.split(" ")
        if its == learner:
            found.append(_corrupted(own).assign(seed=int(seed)))
    table = pd.concat(found)
    shifted = table[table["kind"] != "none"]
    return {
        "seeds": sorted(set(table["seed"].tolist())),
        "domains": int(shifted["domain"].nunique()),
        "accuracy": {
            "clean": round(float(table[table["kind"] == "none"]["accuracy"].mean()), 4),
            "corrupted": round(float(shifted["accuracy"].mean()), 4),
            "least": round(float(shifted["accuracy"].min()), 4),
        },
        "estimators": {name: _described(table, name) for name in (*ESTIMATORS, MADE, RECOMMENDED)},
        "interval": {
            "coverage": mean_of(shifted[f"{MADE} inside"], shifted["kind"]),
            "median width": round(float(shifted[f"{MADE} width"].median()), 4),
        },
        "rows": table.round(4).to_dict("records"),
    }


def _corrupted(own: Arrays) -> pd.DataFrame:
    """Return a row per domain of test images: truth, and every estimate."""
    labels_m, labels_N = own["calibration labels"], own["labels"]
    known_KmC, tested = _sums_to_1(own["calibration"]), slice(-TESTED, None)
    known = Case.of(known_KmC, labels_m, known_KmC)
    known_F = known_figures(known)
    made: list[tuple[str, FloatArray, float]] = []
    rows: list[Row] = []
    for name in (name for name in own if name.split()[0] in ("none", *CORRUPTIONS)):
        p_KNC, kind = _sums_to_1(own[name]), name.split()[0]
        case = known.asking(p_KNC[:, :MADE_IMAGES])
        right_Kn = case.unlabelled.predicted_KN == labels_N[:MADE_IMAGES]
        made.append((kind, figures(case), float(right_Kn.mean())))
        case = known.asking(p_KNC[:, tested])
        truth = float((case.unlabelled.predicted_KN == labels_N[tested]).mean())
        values = {each: e.function(case) for each, e in ESTIMATORS.items()}
        rows.append({"domain": name, "kind": kind, "accuracy": truth, "figures": figures(case)})
        rows[-1] |= values
    for row in rows:
        # images as they are come first, and what is asked about is in no made domain
        others = [
            domain for domain in made if domain[0] in ("none", *(set(CORRUPTIONS) - {row["kind"]}))
        ]
        kinds, figures_L, truth_L = zip(*others, strict=True)
        shifts = Shifts.fit(np.array(figures_L), np.array(truth_L), kinds)
        value = shifts.predict(row.pop("figures"), known_F, row["held-out"])
        told = shifts.estimate(value, (len(labels_m), len(labels_N[tested])), LEVEL)
        inside = float(told.low <= row["accuracy"] <= told.high)
        row |= {MADE: told.value, f"{MADE} inside": inside, f"{MADE} width": told.high - told.low}
        blind = float(np.abs(shifts.falls_L).mean())
        name, _ = recommended(float(np.abs(shifts.misses_L).mean()), blind)
        row[RECOMMENDED] = row[name]
    return pd.DataFrame(rows)


def _described(table: pd.DataFrame, name: str) -> Row:
    """Say how far an estimator misses, and how much less than the held-out accuracy as it is."""
    clean, shifted = table[table["kind"] == "none"], table[table["kind"] != "none"]
    miss = (shifted[name] - shifted["accuracy"]).abs()
    blind = (shifted["held-out"] - shifted["accuracy"]).abs()
    return {
        "clean miss": round(float((clean[name] - clean["accuracy"]).mean()), 4),
        "absolute miss": mean_of(miss, shifted["kind"]),
        "less than held-out by": mean_of(blind - miss, shifted["kind"]),
        "largest": round(float(miss.max()), 4),
        f"within {ASKED}": round(float((miss <= ASKED).mean()), 3),
    }


def splits(ledger: Ledger, learner: str) -> Row:
    """Ask every estimator, and the range, about the conflicting images of adversarial splits."""
    rows: list[Row] = []
    for key, own in ledger.all("split"):
        _, its, seed, cut, strength = key.split(" ")
        if its == learner:
            rows.append({"seed": int(seed), "cut": int(cut), "strength": float(strength)})
            rows[-1] |= _split(own, float(strength), int(seed))
    table = pd.DataFrame(rows)
    return {
        "cases": len(table),
        "seeds": sorted(set(table["seed"].tolist())),
        "cuts": sorted(set(table["cut"].tolist())),
        "strengths": {
            f"{strength:g}": _at_strength(own) for strength, own in table.groupby("strength")
        },
        "range": {part: _range_over(table, part) for part in ("conflicting", "clean")},
        "rows": table.round(4).to_dict("records"),
    }


def _split(own: Arrays, strength: float, seed: int) -> Row:
    """Ask about the conflicting images, and about a clean set as the training images are mixed."""
    known = _of(own, "validation")
    asked = {"conflicting": _of(own, "test_conflicting")}
    agreeing, n = _of(own, "test_agreeing"), len(own["test_agreeing labels"])
    rng, few = np.random.default_rng(seed), round(strength * n)
    drawn = rng.permutation(n)[:few], rng.permutation(n)[: n - few]
    asked["clean"] = tuple(
        np.concatenate([a.take(drawn[0], axis=-1), b.take(drawn[1], axis=-1)], axis=-1)
        for a, b in zip(agreeing, asked["conflicting"], strict=True)
    )
    row: Row = {"task": int(own["task"])}
    for part, (second_Kn, labels_n, sides_Tn) in asked.items():
        case = Case.of(_both(known[0]), known[1].astype(np.int64), _both(second_Kn))
        truth = float((case.unlabelled.predicted_KN == labels_n).mean())
        row[f"{part} accuracy"] = truth
        row |= {f"{part} {n}": e.function(case) - truth for n, e in ESTIMATORS.items()}
        row[f"{part} bound holds"] = float(truth <= bound(case) + 1e-12)
        tasks = [
            Sides(name=f"task {t}", calibration_m=known[2][t], unlabelled_n=sides_Tn[t])
            for t in range(len(sides_Tn))
        ]
        for level in LOWER_LEVELS:
            if (lower := accuracy_range(case, tasks, level)) is not None:
                row[f"{part} inside at {level}"] = float(lower.low <= truth <= lower.high)
                row[f"{part} width at {level}"] = lower.high - lower.low
        found = accuracy_range(case, tasks, RANGE_LEVEL)
        row[f"{part} ranges"] = 0 if found is None else len(found.tasks)
        if found is not None:
            row[f"{part} inside"] = float(found.low <= truth <= found.high)
            row[f"{part} width"] = found.high - found.low
    return row


def _at_strength(table: pd.DataFrame) -> Row:
    return {
        "cases": len(table),
        **{
            part: {
                "accuracy": mean_of(table[f"{part} accuracy"], table["cut"]),
                "agreement": mean_of(
                    table[f"{part} agreement"] + table[f"{part} accuracy"], table["cut"]
                ),
                "miss": {
                    name: mean_of(table[f"{part} {name}"], table["cut"]) for name in ESTIMATORS
                },
                "range": _range_over(table, part),
                "bound holds": round(float(table[f"{part} bound holds"].mean()), 4),
            }
            for part in ("conflicting", "clean")
        },
    }


def _range_over(table: pd.DataFrame, part: str) -> Row:
    """Say how often the range holds the truth, and how wide it is; where a task goes along."""
    told = table[table[f"{part} ranges"] > 0]
    row: Row = {"told": len(told), "of": len(table)}
    if len(told):
        row["holds"] = mean_of(told[f"{part} inside"], told["cut"])
        row["median width"] = round(float(told[f"{part} width"].median()), 4)
        quantiles = told[f"{part} width"].quantile([0.1, 0.9])
        row["width, 10 to 90 %"] = [round(float(q), 4) for q in quantiles]
        for level in LOWER_LEVELS:
            row[f"at {level}"] = {
                "holds": round(float(told[f"{part} inside at {level}"].mean()), 4),
                "median width": round(float(told[f"{part} width at {level}"].median()), 4),
            }
    return row


def mean_of(values: pd.Series, clusters: pd.Series) -> Row:
    """Return a mean with its 95 % interval by a bootstrap of whole clusters."""
    frame = pd.DataFrame({"value": values.to_numpy(), "cluster": clusters.to_numpy()})
    sums = frame.groupby("cluster")["value"].agg(["sum", "count"]).to_numpy()
    drawn = np.random.default_rng(0).integers(len(sums), size=(_DRAWS, len(sums)))
    totals = sums[drawn].sum(axis=1)
    low, high = np.quantile(totals[:, 0] / totals[:, 1], [0.025, 0.975])
    return {
        "mean": round(float(frame["value"].mean()), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
    }


def _sums_to_1(p_KNC: NDArray[Any]) -> FloatArray:
    wide_KNC = p_KNC.astype(np.float64)
    return np.asarray(wide_KNC / wide_KNC.sum(axis=2, keepdims=True))


def _both(second_Kn: FloatArray) -> FloatArray:
    return np.stack([1 - second_Kn, second_Kn], axis=2).astype(np.float64)


def _of(own: Mapping[str, NDArray[Any]], part: str) -> Sequence[NDArray[Any]]:
    return tuple(own[f"{part} {what}"] for what in ("second", "labels", "sides"))
