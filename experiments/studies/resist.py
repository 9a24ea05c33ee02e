"""Seven targets × eight tasks: the published table's shape, beside random splits.

Train = images where target and task agree, test = where they differ, as published; the other
orientation is not tried. Classes are equally frequent on both sides of every split, and all splits
are trained on equally many images, so that one random split of a target is the control of all
eight. Tasks are the first eight of 32, which are in the order of their held-out correlation.

Axes: N images.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks import human

from experiments import figures_splits, judging, paired
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.resisting import Case, Sizes, Stand, accuracy, drawn, even, seeds_of, stand
from experiments.study import Claim, Study, Verdict, found, search
from taskdiscovery.data import target_of
from taskdiscovery.types import BoolArray, IntArray, Labeling, Tasks

SEEDS = (0, 1, 2)
#: tasks that are searched for, and those that cut.
SEARCHED, TASKS = 32, 8
SIZES = Sizes()
#: of the worst task of a target, in the mean: as was asked of `splits`.
LOW, COSTS = 0.15, 0.25
CLAIMS = (
    Claim(
        text="On every one of the 56 splits a network does worse than on a random split of the "
        "same size and class balance",
        paper=True,
    ),
    Claim(
        text=f"In the mean over the 56 splits that costs at least {COSTS} of the accuracy, the "
        "whole interval over targets"
    ),
    Claim(
        text=f"Of each target's eight tasks the worst, chosen on other images, leaves at most {LOW}"
        " in the mean of the seven targets"
    ),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Cells:
    """The splits of the table.

    Attributes:
        targets: by their SPEC.
        tasks: that cut them.
        seen_N: images that discovery may have seen.
        each: images of each class that are trained on.
    """

    targets: dict[str, Labeling]
    tasks: list[Labeling]
    seen_N: BoolArray
    each: int

    @classmethod
    def of(cls, lab: Laboratory, tasks: Tasks) -> Cells:
        """Take the first tasks and the core targets; count what the smallest train side has."""
        assert tasks.seen_N is not None
        specs = [human.target(number) for number in human.CORE]
        targets = {spec: target_of(lab.dataset, spec) for spec in specs}
        own, seen_N = [tasks[d] for d in range(min(TASKS, len(tasks)))], tasks.seen_N
        least = min(
            int(np.bincount(target.labels_N[train_N & seen_N], minlength=2).min())
            for target in targets.values()
            for train_N in (target.labels_N == task.labels_N for task in own)
        )
        return cls(targets=targets, tasks=own, seen_N=seen_N, each=min(SIZES.fit // 2, least))

    def train_N(self, spec: str, task: Labeling) -> BoolArray:
        """Return (N,) True on the train side."""
        return self.targets[spec].labels_N == task.labels_N

    def test(self, spec: str, task: Labeling) -> IntArray:
        """Return the images of the test side that are reported on: discovery has not seen them."""
        target, test_N = self.targets[spec], ~self.train_N(spec, task) & ~self.seen_N
        return even(test_N, target, int(test_N.sum()), "resist test", spec, task.name)

    def chosen(self, spec: str, task: Labeling) -> IntArray:
        """Return images of the test side on which the worst task is chosen."""
        side_N = ~self.train_N(spec, task) & self.seen_N
        return even(side_N, self.targets[spec], SIZES.chosen, "resist chosen", spec, task.name)

    def case(self, spec: str, task: Labeling | None, seed: int) -> Case:
        """Return the training on a split, or on the random one, of a seed.

        Asked are all images that discovery has not seen, and of a split those that choose.
        """
        name, target = "random" if task is None else task.name, self.targets[spec]
        side_N = self.seen_N if task is None else self.seen_N & self.train_N(spec, task)
        measured = np.flatnonzero(~self.seen_N)
        if task is not None:
            measured = np.union1d(measured, self.chosen(spec, task))
        job = ("resist", spec, name)
        return Case(
            key=f"{spec} {name} {seed}",
            target=target,
            fit=drawn(side_N, target, [self.each] * 2, *job, seed),
            measured=measured,
            seeds=seeds_of(seed, *job),
        )


def cells_of(lab: Laboratory, learner: str) -> tuple[Cells, Row]:
    """Search for tasks, or take those that are there; return splits, and what the search took.

    Seconds of the processor are known of a search that was done in one sitting; they are kept.
    """
    name = search(learner, SEARCHED)
    fresh, kept = not (lab.work / f"discover {name}").exists(), lab.work / f"seconds {name}.json"
    began = time.process_time()
    tasks, numbers = found(lab, learner, SEARCHED)
    if fresh:
        kept.write_text(json.dumps({"processor_seconds": round(time.process_time() - began, 1)}))
    cost: Row = {"seconds": numbers["seconds"]}
    cost |= json.loads(kept.read_text()) if kept.exists() else {}
    return Cells.of(lab, tasks), cost


def measured(own: Stand, cells: Cells) -> list[Row]:
    """Train on every split of every seed; return a row for each target."""
    cases = {
        (spec, task.name if task is not None else "random", seed): cells.case(spec, task, seed)
        for spec in cells.targets
        for task in [None, *cells.tasks]
        for seed in SEEDS
    }
    answers = own.predictions(list(cases.values()))
    rows = []
    for spec in cells.targets:
        ask = _Ask(cells=cells, spec=spec, cases=cases, answers=answers)
        splits = [ask.split(task) for task in cells.tasks]
        worst = min(splits, key=lambda row: row["chosen_by"])["task"]
        rows.append({"target": spec, "random": ask.random(), "worst": worst, "splits": splits})
    return rows


@dataclass(frozen=True, eq=False, kw_only=True)
class _Ask:
    """What the networks of a target say."""

    cells: Cells
    spec: str
    cases: dict[tuple[str, str, int], Case]
    answers: dict[str, IntArray]

    def over_seeds(self, name: str, rows: IntArray) -> list[float]:
        """Return the accuracy of each seed's network of a split on some images."""
        target, values = self.cells.targets[self.spec], []
        for seed in SEEDS:
            case = self.cases[self.spec, name, seed]
            if case.key in self.answers:
                values.append(accuracy(self.answers[case.key], case.measured, rows, target))
        return values

    def random(self) -> list[float]:
        """Return the random split's accuracies, on images of both sides."""
        target, unseen_N = self.cells.targets[self.spec], ~self.cells.seen_N
        return self.over_seeds("random", even(unseen_N, target, len(unseen_N), "resist random"))

    def split(self, task: Labeling) -> Row:
        """Return what is recorded of a split."""
        cells, test = self.cells, self.cells.test(self.spec, task)
        train_N, target = cells.train_N(self.spec, task), cells.targets[self.spec]
        inside = even(train_N & ~cells.seen_N, target, len(train_N), "resist within")
        chosen = cells.chosen(self.spec, task)
        return {
            "task": task.name,
            "test_images": len(test),
            "accuracy": self.over_seeds(task.name, test),
            "within": _mean(self.over_seeds(task.name, inside)),
            "random_there": _mean(self.over_seeds("random", test)),
            "chosen_by": _mean(self.over_seeds(task.name, chosen)),
        }


def _mean(values: list[float]) -> float:
    return round(float(np.mean(values)), 4)


def run(lab: Laboratory, learner: str) -> Row:
    """Train on every split and on the random ones; compare."""
    cells, cost = cells_of(lab, learner)
    began = time.perf_counter()
    with stand(lab, learner, "resist", SIZES.fit, cells.seen_N) as own:
        rows = measured(own, cells)
        precision = own.config.precision
    return {
        "learner": learner,
        "preset": "quick",
        "precision": precision,
        "seeds": list(SEEDS),
        "train_images": 2 * cells.each,
        "search": cost,
        "seconds": round(time.perf_counter() - began, 1),
        "rows": rows,
    }


def means(result: Row) -> dict[str, list[float]]:
    """Return by target: `all` eight splits, the `worst`, and the `random` one, over seeds."""
    found: dict[str, list[float]] = {"all": [], "worst": [], "random": []}
    for row in result["rows"]:
        values = {own["task"]: _mean(own["accuracy"]) for own in row["splits"]}
        found["all"].append(_mean(list(values.values())))
        found["worst"].append(values[row["worst"]])
        found["random"].append(_mean(row["random"]))
    return found


def below(result: Row) -> tuple[int, int]:
    """Return how many splits are below their random one in the mean of seeds, and of how many."""
    pairs = [
        _mean(own["accuracy"]) < _mean(row["random"])
        for row in result["rows"]
        for own in row["splits"]
    ]
    return sum(pairs), len(pairs)


def tell(results: list[Row], place: Path) -> str:
    """Write the table of each learner, and what the splits cost."""
    figures_splits.table(results, place / "resist.svg")
    parts = [
        "## Splits that resist: seven targets, eight tasks",
        "Train where target and task agree, test where they differ; test accuracy on images that "
        "neither discovery nor training has seen, mean of three seeds (draws of the training "
        "images, weights, order). Classes are equally frequent on both sides. **Bold**: the worst "
        "task of the target, chosen on other images. Tasks are the first eight of 32 of `power`, "
        "by held-out correlation; `within` is accuracy on unseen images of the train side, and "
        "`there` that of the random split's networks on the very images of the test sides, both "
        "in the mean over the tasks.",
    ]
    for result in results:
        parts += [_table(result), _said(result)]
    parts.append("![test accuracy of every split](figures/resist.svg)")
    return paragraphs(parts)


def _table(result: Row) -> str:
    names = [own["task"] for own in result["rows"][0]["splits"]]
    lines = []
    for row in result["rows"]:
        cells = []
        for own in row["splits"]:
            text = f"{_mean(own['accuracy']):.2f}"
            cells.append(f"**{text}**" if own["task"] == row["worst"] else text)
        within, there = ([own[key] for own in row["splits"]] for key in ("within", "random_there"))
        more = [f"{_mean(values):.2f}" for values in (row["random"], within, there)]
        lines.append([f"`{row['target']}`", *cells, *more])
    head = [f"`{result['learner']}`", *(name.removeprefix("task_") for name in names)]
    return table([*head, "random", "within", "there"], lines)


def _said(result: Row) -> str:
    own = means(result)
    cost = paired.difference(own["all"], own["random"])
    worst = paired.difference(own["worst"], own["random"])
    fewer, of = below(result)
    return (
        f"`{result['learner']}`, {result['train_images']:,} training images: {fewer} of {of} "
        f"splits lie below the random one. In the mean {np.mean(own['all']):.3f} against "
        f"{np.mean(own['random']):.3f} ({paired.told(cost)} over targets); the worst of eight "
        f"{np.mean(own['worst']):.3f} ({paired.told(worst)})."
    )


def judge(results: list[Row]) -> list[Verdict]:
    """Say what became of the claims, learner by learner."""
    cases: list[list[tuple[bool, str]]] = [[], [], []]
    for result in results:
        own, (fewer, of), name = means(result), below(result), f"`{result['learner']}`"
        cost = paired.difference(own["random"], own["all"])
        worst = float(np.mean(own["worst"]))
        cases[0].append((fewer == of, f"{name} {fewer} of {of}"))
        cases[1].append((cost["low"] >= COSTS, f"{name} {paired.told(cost)}"))
        cases[2].append((worst <= LOW, f"{name} {worst:.3f}"))
    return [judging.verdict(own) for own in cases]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=20,
    learners=("mlp", "convnet"),
    about="seven targets and the eight best tasks",
    claims=CLAIMS,
    judge=judge,
)
