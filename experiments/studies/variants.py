"""Variants of the meta-gradient at equal processor time, each one change from a base.

Beside them its controls, uniformity alone and the untrained encoder, and methods that take no more
time. How many outer steps a variant affords is measured before its search.

Axes: S seeds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import taskdiscovery as td
from experiments import figures_conditions
from experiments.judging import verdict
from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, table
from experiments.paired import difference, told
from experiments.records import Row
from experiments.side_by_side import parts, processes, processor_seconds
from experiments.study import Claim, Study, Verdict
from taskdiscovery.runtime.callbacks import Callback, Numbers

SEEDS = (0, 1, 2)
#: tasks that are searched for and scored, and images of the search and of the scores.
TASKS, SCORED, SEARCHED, IMAGES = 8, 4, 20_000, 10_000
#: of one processor that a search may take.
SECONDS = 60.0
#: outer steps that are timed before a search.
TIMED = 6
#: what all variants share.
INNER: dict[str, Any] = {"inner_steps": 10, "inner_batch": 256}
#: a difference of AS that is worth having.
WORTH = 0.01


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way to search.

    Attributes:
        about: how the page says it.
        options: of `meta`, beside those that all share; of the method itself where it is another.
        classes: of each task.
        method: of the search.
        timed: whether it takes as many outer steps as its time affords.
        control: whether it stands beside the variants and is none.
    """

    about: str
    options: dict[str, Any] = field(default_factory=dict)
    classes: int = 2
    method: str = "meta"
    timed: bool = True
    control: bool = False


BASE = "base"
KWAY, KWAY_CONTROL = "three classes", "three classes, uniformity alone"
VARIANTS: dict[str, Variant] = {
    BASE: Variant(about="base: final, uniformity, fixed, exact"),
    "online": Variant(about="objective: online", options={"objective": "online"}),
    "train-loss": Variant(about="objective: training loss", options={"objective": "train-loss"}),
    "exp": Variant(about="transform: exp", options={"transform": "exp"}),
    "softplus": Variant(about="transform: softplus", options={"transform": "softplus"}),
    "information": Variant(
        about="diversity: mutual information", options={"diversity": "information"}
    ),
    "random": Variant(about="directions: random", options={"directions": "random"}),
    "one-step": Variant(about="one-step", options={"one_step": True}),
    "truncated": Variant(
        about="gradient: truncated, 2 steps", options={"gradient": "truncated", "window": 2}
    ),
    "first-order": Variant(about="gradient: first-order", options={"gradient": "first_order"}),
    "uniformity": Variant(about="uniformity alone", options={"objective": "none"}, control=True),
    "untrained": Variant(
        about="untrained encoder", options={"outer_steps": 0}, timed=False, control=True
    ),
    "power": Variant(about="`power`", method="power", timed=False, control=True),
    "spectral": Variant(
        about="`spectral` (untrained features)", method="spectral", timed=False, control=True
    ),
    "pixels": Variant(
        about="`spectral --start pixels` (principal components)",
        options={"start": "pixels"},
        method="spectral",
        timed=False,
        control=True,
    ),
    KWAY: Variant(about="three classes", classes=3),
    KWAY_CONTROL: Variant(
        about="three classes, uniformity alone",
        options={"objective": "none"},
        classes=3,
        control=True,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """One search and its scores."""

    learner: str
    name: str
    seed: int


class _Times(Callback):
    """Collects when outer steps ended, in processor seconds."""

    def __init__(self) -> None:
        self.ended: list[float] = []

    def on_outer_step(self, numbers: Numbers) -> None:
        """Note one."""
        self.ended.append(processor_seconds())


def run(lab: Laboratory, learner: str) -> Row:
    """Search in every way from every seed, and score some of the tasks."""
    wanted = [Part(learner=learner, name=name, seed=s) for name in VARIANTS for s in SEEDS]
    rows = parts(part_of, lab, wanted)
    return {
        "learner": learner,
        "preset": f"quick, {IMAGES} images",
        "seeds": list(SEEDS),
        "budget": SECONDS,
        "tasks": TASKS,
        # Of this machine, where so many parts are done at once: what a row took is not added up.
        "seconds": round(sum(row["took"] for row in rows) / processes(lab), 1),
        "rows": rows,
    }


def part_of(lab: Laboratory, part: Part) -> Row:
    """Search in one way from one seed, and score the tasks."""
    variant, name = VARIANTS[part.name], f"variants {part.learner} {part.name} {part.seed}"
    options: Row = {"learner": part.learner, "seed": part.seed, "executor": "serial"}
    method = {"method": variant.method, **_options(variant)}
    if variant.timed:
        method["outer_steps"] = _affordable(lab, name, variant, options)
    began = processor_seconds()
    searched = {"tasks": TASKS, "classes": variant.classes, "train_images": SEARCHED}
    tasks, result = lab.tasks(name, **options, **searched, **method)
    took = _kept(lab, f"{name} seconds", round(processor_seconds() - began, 1))
    rows = lab.scores(
        name,
        as_labelings(tasks, part.name, SCORED),
        seen_N=tasks.seen_N,
        train_images=IMAGES,
        **options,
    )
    measured = {k: [round(row[k], 4) for row in rows] for k in ("agreement", "kappa")}
    return {
        "variant": part.name,
        "seed": part.seed,
        "agreement": round(float(np.mean(measured["agreement"])), 4),
        "kappa": round(float(np.mean(measured["kappa"])), 4),
        "agreements": measured["agreement"],
        "similarity": result["similarity"],
        "outer_steps": method.get("outer_steps"),
        "processor_seconds": took,
        "skipped": result.get("meta", {}).get("skipped", 0),
        "precision": rows[0]["precision"],
        "took": round(result["seconds"] + sum(row["seconds"] for row in rows), 1),
    }


def _options(variant: Variant) -> dict[str, Any]:
    return {**(INNER if variant.method == "meta" else {}), **variant.options}


def _affordable(lab: Laboratory, name: str, variant: Variant, options: Row) -> int:
    """Return how many outer steps fit in the time, by a few of them; once a search."""
    place = lab.work / f"{name} steps.json"
    if place.exists():
        return int(json.loads(place.read_text("utf-8")))
    times, began = _Times(), processor_seconds()
    td.discover(
        lab.dataset,
        method=td.Meta(outer_steps=TIMED, **_options(variant)),
        tasks=TASKS,
        classes=variant.classes,
        train_images=SEARCHED,
        callbacks=[times],
        **lab.hardware,
        **options,
    )
    each = float(np.median(np.diff(times.ended)))
    beside = processor_seconds() - began - TIMED * each
    return int(_kept(lab, f"{name} steps", max(1, int((SECONDS - beside) / max(each, 1e-3)))))


def _kept(lab: Laboratory, name: str, value: float) -> float:
    """Return a number as it was when it was measured first."""
    place = lab.work / f"{name}.json"
    if not place.exists():
        lab.work.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(value), "utf-8")
    return float(json.loads(place.read_text("utf-8")))


def of_variant(result: Row, name: str) -> list[Row]:
    """Return the rows of a variant, one a seed."""
    return [row for row in result["rows"] if row["variant"] == name]


def apart(result: Row, first: str, second: str = BASE, value: str = "agreement") -> Row:
    """Compare two variants seed by seed."""
    return difference(
        [row[value] for row in of_variant(result, first)],
        [row[value] for row in of_variant(result, second)],
    )


def _alike(result: Row, first: str, second: str = BASE) -> Row:
    """Compare the mean similarity of the tasks of two variants, seed by seed."""
    return difference(
        *([r["similarity"]["mean"] for r in of_variant(result, v)] for v in (first, second))
    )


def tell(results: list[Row], place: Path) -> str:
    """Write the table of variants, which matter, and what holds of three classes."""
    figures_conditions.variants(
        results, {name: v.about for name, v in VARIANTS.items() if v.classes == 2}, place
    )
    parts_ = ["## Variants of the meta-gradient at equal time"]
    for result in results:
        parts_ += [_legend(result), table(_HEAD, [_line(result, name) for name in VARIANTS])]
        parts_ += [_which(result), _three(result)]
    parts_.append("![AS by variant of the meta-gradient](figures/variants.svg)")
    return paragraphs(parts_)


def _legend(result: Row) -> str:
    return (
        f"`{result['learner']}`, {result['tasks']} tasks, {SCORED} of them scored with "
        f"{IMAGES:,} images; {result['budget']:.0f} processor seconds a search (as many outer "
        "steps as that affords, for uniformity alone, too; methods of another kind take less); "
        f"mean of {len(result['seeds'])} seeds. Each variant differs from the base in one "
        "option: the agreement of the `final` networks, kept apart by `uniformity`, on `fixed` "
        f"directions, by the `exact` gradient through {INNER['inner_steps']} inner steps of "
        f"{INNER['inner_batch']} images. Differences from the base with a 95 % interval over "
        "seeds; with three of these it is wide."
    )


_HEAD = [
    *("variant", "AS", "κ", "similarity (max)", "outer steps", "processor s"),
    *("AS, less base", "similarity, less base"),
]


def _line(result: Row, name: str) -> list[str]:
    rows, variant = of_variant(result, name), VARIANTS[name]

    def over(key: str) -> float:
        return float(np.mean([row[key] for row in rows]))

    alike = [np.mean([row["similarity"][k] for row in rows]) for k in ("mean", "max")]
    compared = name != BASE and variant.classes == 2
    steps = "–" if rows[0]["outer_steps"] is None else f"{over('outer_steps'):.0f}"
    return [
        f"*{variant.about}*" if variant.control else variant.about,
        f"{over('agreement'):.3f}",
        f"{over('kappa'):.3f}",
        f"{alike[0]:.3f} ({alike[1]:.3f})",
        steps,
        f"{over('processor_seconds'):.0f}",
        told(apart(result, name)) if compared else "",
        told(_alike(result, name)) if compared else "",
    ]


def verdicts(result: Row) -> dict[str, list[str]]:
    """Sort the variants by what an interval over seeds and `WORTH` say of them."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "slight": [], "even": []}
    for name, variant in VARIANTS.items():
        if name == BASE or variant.control or variant.classes > 2:
            continue
        own = apart(result, name)
        if own["low"] <= 0 <= own["high"]:
            found["even"].append(variant.about)
        elif abs(own["mean"]) < WORTH:
            found["slight"].append(variant.about)
        else:
            found["better" if own["mean"] > 0 else "worse"].append(variant.about)
    return found


def _which(result: Row) -> str:
    """Say which variants matter, by AS, and how far the controls are."""
    found = verdicts(result)
    said = [
        f"{words}: {'; '.join(found[key])}."
        for key, words in (
            ("better", f"AS at least {WORTH} above the base, by an interval that excludes 0"),
            ("worse", f"At least {WORTH} below it"),
            ("slight", f"Told apart from it, by less than {WORTH}"),
            ("even", "Not told apart from it"),
        )
        if found[key]
    ]
    controls = (("uniformity", "uniformity alone"), ("untrained", "the untrained encoder"))
    beside = ", ".join(f"{words} {told(apart(result, BASE, n))}" for n, words in controls)
    return " ".join([*said, f"The base less its controls: {beside}."])


def _three(result: Row) -> str:
    own = apart(result, KWAY, KWAY_CONTROL, "kappa")
    return (
        "Three classes have another chance level, so that κ is the figure to compare: with "
        f"agreement asked for it is {told(own)} beside uniformity alone."
    )


#: bounds of the claims.
ABOVE_UNTRAINED, NEAR_UNIFORMITY, ALIKE, BELOW_POWER = 0.03, 0.02, 0.02, 0.005


def judge(results: list[Row]) -> list[Verdict]:
    """Return what became of the claims."""
    (result,) = results
    untrained, uniformity = (apart(result, BASE, n) for n in ("untrained", "uniformity"))
    first_order, power = apart(result, BASE, "first-order"), apart(result, "power")
    information = _alike(result, "information")
    found = verdicts(result)
    helps = f"better: {'; '.join(found['better']) or 'none'}"
    cases = [
        (untrained["mean"] >= ABOVE_UNTRAINED and untrained["low"] > 0, told(untrained)),
        (uniformity["mean"] <= NEAR_UNIFORMITY, told(uniformity)),
        (first_order["mean"] >= WORTH, told(first_order)),
        (information["mean"] >= ALIKE, told(information)),
        (not found["better"], helps),
        (power["mean"] >= -BELOW_POWER, told(power)),
    ]
    return [verdict([case]) for case in cases]


CLAIMS = (
    Claim(
        text="The meta-gradient finds tasks on which networks agree more: AS at least "
        f"{ABOVE_UNTRAINED} above that of the untrained encoder's, with an interval above 0.",
        paper=True,
    ),
    Claim(
        text="Most of that is not agreement's doing: at equal time the base is at most "
        f"{NEAR_UNIFORMITY} above uniformity alone."
    ),
    Claim(
        text=f"The second derivative matters: the exact gradient is at least {WORTH} of AS above "
        "the first-order one."
    ),
    Claim(
        text="Mutual information keeps tasks apart less well than uniformity: mean similarity at "
        f"least {ALIKE} higher (six steps of each variant had been timed when this was stated)."
    ),
    Claim(
        text="No other objective, transform, direction, diversity, step or gradient is better "
        f"than the base by {WORTH} of AS with an interval that excludes 0."
    ),
    Claim(text=f"`power`, in no more time, is at most {BELOW_POWER} below the base."),
)

STUDY = Study(
    run=run,
    tell=tell,
    minutes=60,
    learners=("mlp?width=0.25",),
    about="variants of the meta-gradient at equal time",
    claims=CLAIMS,
    judge=judge,
)
