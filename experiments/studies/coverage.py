"""Which human tasks does the embedding of each method contain?

There are 126 ways to cut CIFAR-10's classes five against five. For each a linear probe is fitted
from the 32 coordinates of an embedding, on images that discovery has seen, and measured on those
that it has not. With `--contain` the meta-gradient is given the seven core ones.

Axes: N images, D coordinates.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import human

from experiments import figures_tasks, searches
from experiments.judging import word
from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, table
from experiments.paired import difference, told
from experiments.records import Row
from experiments.study import Claim, Study, Verdict
from taskdiscovery.analysis.coverage import linear_probe
from taskdiscovery.data import partition
from taskdiscovery.types import Tasks

SEEDS = (0, 1, 2)
TASKS = 32
#: outer steps of the meta-gradient and of its controls, and images that a probe is fitted on.
STEPS, FITTED = 150, 5000
#: tasks whose AS is measured, of the embeddings whose cost is of interest.
SCORED = {"meta": 4, "meta --contain": 4}
CONTAINED = tuple(human.target(number) for number in human.CORE)
META: dict[str, Any] = {"method": "meta", "outer_steps": STEPS}
METHODS: dict[str, dict[str, Any]] = {
    "power": {},
    "spectral": {"method": "spectral"},
    "untrained encoder": {"method": "meta", "outer_steps": 0},
    "uniformity alone": {**META, "objective": "none"},
    "meta": META,
    "meta --contain": {**META, "contain": CONTAINED},
}
#: in which the learner has no part: of pixels, and of the features of a frozen backbone.
PIXELS, PURSUIT = "components of pixels", "pursuit on lite0"


def run(lab: Laboratory, learner: str) -> Row:
    """Embed by every method from every seed, and probe for all human tasks."""
    rows: list[Row] = []
    scores: list[Row] = []
    for seed in SEEDS:
        for name, options in METHODS.items():
            tasks, result = searches.seeded(lab, learner, TASKS, seed, **options)
            about = {"method": name, "seed": seed, "coordinates": len(tasks)}
            rows.append({**about, "probed": probed(lab, tasks), "search": result["seconds"]})
            if count := SCORED.get(name, 0):
                chosen = as_labelings(tasks, name.split("--")[-1], count)
                scores += [
                    searches.short(row, method=name, seed=seed)
                    for row in lab.scores(
                        f"coverage {learner} {name} {seed}",
                        chosen,
                        seen_N=tasks.seen_N,
                        learner=learner,
                        seed=seed,
                    )
                ]
        others = {
            PIXELS: searches.pixels(lab, TASKS, seed),
            PURSUIT: searches.pursued(lab, TASKS, seed),
        }
        for name, tasks in others.items():
            about = {"method": name, "seed": seed, "coordinates": len(tasks)}
            rows.append({**about, "probed": probed(lab, tasks), "search": None})
    return {
        "learner": learner,
        "preset": "quick",
        "seeds": list(SEEDS),
        "human": [list(own) for own in human.HUMAN],
        "contained": list(human.CORE),
        "embeddings": rows,
        "rows": scores,
    }


def probed(lab: Laboratory, tasks: Tasks) -> list[float]:
    """Return the held-out accuracy of a linear probe for each of the 126 human tasks."""
    assert tasks.coordinates_NP is not None
    assert tasks.seen_N is not None
    classes_N = lab.dataset.labels
    assert classes_N is not None
    test = np.flatnonzero(~tasks.seen_N)
    fit = partition.sample(np.flatnonzero(tasks.seen_N), FITTED, 0, "coverage")
    values = []
    for own in human.HUMAN:
        labels_N = np.isin(classes_N, own).astype(np.int64)
        found = linear_probe(tasks.coordinates_NP, labels_N, fit, test)
        assert found is not None
        values.append(round(found["accuracy"], 3))
    return values


def by_seed(result: Row, method: str, which: str = "all") -> list[float]:
    """Return the mean accuracy over human tasks of each seed.

    Args:
        result: of a learner.
        method: one of METHODS, or pursuit.
        which: `all` of them, those `contained`, or the `others`.
    """
    chosen = np.isin(np.arange(len(result["human"])), result["contained"])
    if which != "contained":
        chosen = ~chosen if which == "others" else np.ones_like(chosen)
    own = [row["probed"] for row in result["embeddings"] if row["method"] == method]
    return [float(np.mean(np.asarray(values)[chosen])) for values in own]


def gain(result: Row, method: str, beside: str, which: str = "all") -> Row:
    """Return how far the mean probe of a method is above another's, over seeds."""
    return difference(by_seed(result, method, which), by_seed(result, beside, which))


def agreement(result: Row, method: str) -> list[float]:
    """Return the mean AS of the scored tasks of a method, one a seed."""
    own: dict[int, list[float]] = {}
    for row in result["rows"]:
        if row["method"] == method:
            own.setdefault(row["seed"], []).append(row["agreement"])
    return [float(np.mean(values)) for values in own.values()]


def tell(results: list[Row], place: Path) -> str:
    """Write how much of the human tasks each embedding contains, and the histogram."""
    figures_tasks.coverage(results, place / "coverage.svg")
    parts = ["## Which human tasks does an embedding contain?", _HEAD]
    for result in results:
        names = dict.fromkeys(row["method"] for row in result["embeddings"])
        rows = [_row(result, name) for name in names]
        head = [f"`{result['learner']}`", "coordinates", "probe, mean of 126", "least", "most"]
        head += ["at 0.75 or more", "the seven core ones", "beside uniformity alone"]
        parts += [table(head, rows), _contained(result)]
    parts.append(
        "The 126 human tasks by the accuracy of their probes (mean over seeds); the seven core "
        "ones in orange, the mean as a line:"
    )
    parts.append("![histogram of the probes' accuracy by method](figures/coverage.svg)")
    return paragraphs(parts)


_HEAD = f"""
A linear probe from an embedding's coordinates to each of the 126 ways to cut ten classes five
against five, fitted on {FITTED:,} images that discovery has seen and measured on 5,000 that it has
not; chance is 0.5. {TASKS} coordinates, {STEPS} outer steps for `meta` and uniformity alone, three
seeds. `meta --contain` is given the seven core cuts as labelings that its embedding must contain;
its other numbers tell whether that opens the rest of the human tasks, too.
"""


def _row(result: Row, name: str) -> list[object]:
    own = [row for row in result["embeddings"] if row["method"] == name]
    tasks = np.mean([row["probed"] for row in own], axis=0)
    beside = "" if name == "uniformity alone" else told(gain(result, name, "uniformity alone"))
    sizes = sorted({row["coordinates"] for row in own})
    return [
        f"`{name}`" if name in ("power", "spectral", "meta", "meta --contain") else name,
        f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else sizes[0],
        f"{tasks.mean():.3f}",
        f"{tasks.min():.3f}",
        f"{tasks.max():.3f}",
        int((tasks >= REACHED).sum()),
        f"{np.mean(by_seed(result, name, 'contained')):.3f}",
        beside,
    ]


def _contained(result: Row) -> str:
    """Say what `--contain` brings, and what it costs."""
    own, without = agreement(result, "meta --contain"), agreement(result, "meta")
    return (
        f"`{result['learner']}`: containing the seven core tasks lifts their probes by "
        f"{told(gain(result, 'meta --contain', 'meta', 'contained'))} and those of the other 119 "
        f"by {told(gain(result, 'meta --contain', 'meta', 'others'))} beside `meta` without; AS of "
        f"four of its tasks is {np.mean(own):.3f} beside {np.mean(without):.3f}, "
        f"{told(difference(own, without))}."
    )


#: accuracy from which a human task counts as contained.
REACHED = 0.75
LIFTED, COST, FEATURES = 0.02, 0.03, 0.05

CLAIMS = (
    Claim(
        text=f"None of the embeddings from pixels contains as many as half of the 126 human tasks, "
        f"a probe's accuracy of {REACHED} counting as contained."
    ),
    Claim(
        text="The embedding of `power` contains the human tasks better than uniformity alone and "
        "the components of pixels do, in the mean over the 126, the intervals without 0."
    ),
    Claim(
        text="An embedding that must contain the seven core tasks (`--contain`) contains the other "
        f"119 better, too, by {LIFTED} in the mean beside `meta` without, and its tasks lose at "
        f"most {COST} of AS."
    ),
    Claim(
        text="Tasks that `pursuit` finds in a frozen backbone contain the human tasks better than "
        f"every embedding from pixels, by at least {FEATURES} in the mean."
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Say of each claim what became of it, over the learners that were run."""
    return [_few(results), _power(results), _contains(results), _features(results)]


def _few(results: list[Row]) -> Verdict:
    counts = {}
    for result in results:
        for name in (*METHODS, PIXELS):
            own = [row["probed"] for row in result["embeddings"] if row["method"] == name]
            reached = int((np.mean(own, axis=0) >= REACHED).sum())
            counts[f"`{name}` of `{result['learner']}`"] = reached
    most = max(counts, key=lambda name: counts[name])
    held = [count < len(human.HUMAN) / 2 for count in counts.values()]
    return Verdict(word=word(held), ours=f"at most {counts[most]} of 126, {most}")


def _power(results: list[Row]) -> Verdict:
    held, words = [], []
    for result in results:
        for beside in ("uniformity alone", PIXELS):
            own = gain(result, "power", beside)
            held.append(own["low"] > 0)
            words.append(f"`{result['learner']}` {told(own)} beside {beside}")
    return Verdict(word=word(held), ours="; ".join(words))


def _contains(results: list[Row]) -> Verdict:
    held, words = [], []
    for result in results:
        own = gain(result, "meta --contain", "meta", "others")
        lost = difference(agreement(result, "meta"), agreement(result, "meta --contain"))
        held.append(own["mean"] >= LIFTED and lost["mean"] <= COST)
        words.append(f"`{result['learner']}` others {told(own)}, AS lost {told(lost)}")
    return Verdict(word=word(held), ours="; ".join(words))


def _features(results: list[Row]) -> Verdict:
    held, words = [], []
    for result in results:
        gains = {name: gain(result, PURSUIT, name)["mean"] for name in (*METHODS, PIXELS)}
        least = min(gains, key=lambda name: gains[name])
        held.append(gains[least] >= FEATURES)
        words.append(f"`{result['learner']}` {gains[least]:+.3f} beside {least}")
    return Verdict(word=word(held), ours="; ".join(words))


STUDY = Study(
    run=run,
    tell=tell,
    minutes=30,
    learners=("mlp", "convnet"),
    about="which human tasks does an embedding contain?",
    claims=CLAIMS,
    judge=judge,
)
