"""Adversarial splits: the core targets, the controls, and other learners on the same splits."""

from __future__ import annotations

from pathlib import Path

from benchmarks import human

import taskdiscovery as td
from experiments import records
from experiments.judging import verdict
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.study import SIZES, SQUARE, Claim, Study, Verdict, found, search
from taskdiscovery.store import Run

#: asked of binary targets in the mean (at most, at least), and of ten classes (a part of random).
ADVERSARIAL, RANDOM, PART = 0.15, 0.65, 0.2


def run(lab: Laboratory, learner: str) -> Row:
    """Split for a core target; train this learner and the others of the square table on it."""
    rows = []
    found(lab, learner)
    source = lab.work / f"discover {search(learner, SIZES[learner].tasks)}"
    for number in human.CORE[:1]:
        place = lab.work / f"split {learner} human {number}"
        if not (place / "status.json").exists():
            td.split(
                lab.dataset,
                human.target(number),
                str(source),
                learner=learner,
                runs=2,
                train_images=10_000,
                transfer=[other for other in SQUARE if other != learner],
                threads=lab.threads,
                out=place,
            )
        elif Run.open(place).state != "done":
            td.resume(place, data=lab.dataset)
        result = Run.open(place).numbers
        keys = ("target", "task", "orientation", "accuracy", "transfer", "where_runs_agree")
        rows.append({key: result[key] for key in keys})
    return {"learner": learner, "preset": "quick", "rows": rows}


def tell(results: list[Row], place: Path) -> str:
    """Write the benchmark of the core targets, then each learner's split and its transfer."""
    parts = ["## Adversarial splits", "Test accuracy on the target; two runs from fresh seeds."]
    if core := records.benchmark("core-splits"):
        parts.append(core_targets(core))
    for result in results:
        names = list(result["rows"][0]["accuracy"])
        rows = [[f"`{row['target']}`", *_means(row["accuracy"], names)] for row in result["rows"]]
        parts.append(table([f"`{result['learner']}`", *names], rows))
        moved = [
            (row["target"], other, own)
            for row in result["rows"]
            for other, own in row["transfer"].items()
        ]
        if moved:
            kept = [n for n in names if all(n in own for _, _, own in moved)]
            cells = [[f"`{t}`", f"`{other}`", *_means(own, kept)] for t, other, own in moved]
            parts.append("The same splits, other learners:")
            parts.append(table(["target", "learner", *kept], cells))
    return paragraphs(parts)


def _means(accuracy: Row, names: list[str]) -> list[str]:
    return [f"{accuracy[name]['mean']:.3f}" for name in names]


def core_targets(document: Row) -> str:
    """Write the seven binary targets and the ten-way one, and what was asked of them."""
    mean, names = document["mean_of_core_tasks"], list(document["mean_of_core_tasks"])
    binary = [row for row in document["rows"] if row["target"] != "label"]
    ten_way = [("`label`", row) for row in document["rows"] if row["target"] == "label"]
    ten_way += [(f"`label`, {name}", rows[0]) for name, rows in document["with"].items()]
    rows = [[f"`{row['target']}`", *_means(row["accuracy"], names)] for row in binary]
    rows.append(["mean of the seven", *(f"{mean[name]:.3f}" for name in names)])
    rows += [[name, *_means(row["accuracy"], names)] for name, row in ten_way]
    parts = []
    for name, row in ten_way:
        part = row["accuracy"]["adversarial"]["mean"] / row["accuracy"]["random"]["mean"]
        parts.append(f"{name} {part:.3f} ({_reached(part <= PART)})")
    return paragraphs(
        [
            table([f"`{document['learner']}`", *names], rows),
            f"Asked: in the mean of the binary targets adversarial at most {ADVERSARIAL} "
            f"({_reached(mean['adversarial'] <= ADVERSARIAL)}) and random at least {RANDOM} "
            f"({_reached(mean['random'] >= RANDOM)}); for ten classes an adversarial accuracy of "
            f"at most {PART} of the random one: {'; '.join(parts)}.",
        ]
    )


def _reached(whether: bool) -> str:
    return "reached" if whether else "not reached"


CLAIMS = (
    Claim(
        text="A split along a discovered task makes a network fail on the target that it was "
        "trained for, without a changed pixel or label",
        paper=True,
    ),
)


def judge(results: list[Row]) -> list[Verdict]:
    """Take the seven binary targets of the benchmark, and the ten-way one."""
    core = records.benchmark("core-splits")
    if core is None:
        return [Verdict(word="does not", ours="not measured")]
    cases = []
    names = [("seven binary targets", core["mean_of_core_tasks"], 0.5)]
    ten = next(row for row in core["rows"] if row["target"] == "label")
    names.append(("ten classes", ten["accuracy"], 1.0))
    for name, accuracy, most in names:
        low, usual = (
            accuracy[side]["mean"] if isinstance(accuracy[side], dict) else accuracy[side]
            for side in ("adversarial", "random")
        )
        said = f"{name}: {low:.3f}, at random {usual:.3f}"
        cases.append((low < min(most, usual / 2), said))
    return [verdict(cases)]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=20,
    learners=("convnet",),
    about="adversarial splits",
    claims=CLAIMS,
    judge=judge,
)
