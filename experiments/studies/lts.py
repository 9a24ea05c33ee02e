"""Learning to Split beside splits along discovered tasks: same images, learner, share and balance.

A pool of images that discovery may have seen, half of each class, is cut three ways: by a splitter
that was learnt on the pool (`peers.learning_to_split`), along the worst of `resist`'s eight tasks,
which was chosen on other images, and by chance. Each way gives every image a score, and the upper
half of each class is trained on: shares and class balance are equal. Accuracy is measured on the
pool's test side, for which the splitter was made, and on the test side of images that neither the
splitter nor discovery has seen; these are cut at the pool's thresholds, and classes count alike.

What a split is about is asked of its train side, and of train side × class: cut along a task, that
is the task.

Axes: N images, n images of the pool.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
from benchmarks import human

import taskdiscovery as td
from experiments import judging, paired
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.peers.learning_to_split import Options, Pool, learn_to_split
from experiments.records import Row
from experiments.resisting import Case, Stand, accuracy, drawn, even, seeds_of, stand
from experiments.studies import resist
from experiments.study import Claim, Study, Verdict
from taskdiscovery.networks.placing import hold
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.training import Watch
from taskdiscovery.types import BoolArray, FloatArray, IntArray, Labeling, Record

SEEDS, RUNS, POOL = (0, 1, 2), 2, 20_000
OPTIONS = Options()
#: core targets that are looked at; more take longer.
TARGETS = 1
LEARNT, OURS, CHANCE = "Learning to Split", "along a task", "random"
LEAST, MORE, CLEARER = 0.1, 0.2, 0.2
CLAIMS = (
    Claim(
        text=f"Learning to Split costs its learner at least {LEAST} of the accuracy on a random "
        "split, on the test side of the images that it was learnt on"
    ),
    Claim(
        text=f"On images that neither has seen a split along a task costs at least {MORE} more "
        "than Learning to Split's"
    ),
    Claim(
        text="What goes most with a task has an effect that is at least "
        f"{CLEARER} above that of what goes most with Learning to Split's train side × class"
    ),
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Arena:
    """A target, a seed, and the pool that is cut.

    Attributes:
        spec, target: what is learnt.
        task: the discovered one.
        seen_N: images that discovery may have seen.
        seed: of pool and splitter.
    """

    spec: str
    target: Labeling
    task: Labeling
    seen_N: BoolArray
    seed: int

    @cached_property
    def pool(self) -> IntArray:
        """Return the images that are cut, of each class equally many."""
        return even(self.seen_N, self.target, POOL, "lts pool", self.spec, self.seed)

    def chance_N(self) -> FloatArray:
        """Return (N,) scores drawn by chance."""
        return generator(self.seed, "lts random", self.spec).random(len(self.seen_N))

    def task_N(self) -> FloatArray:
        """Return (N,) scores of the discovered task: its coordinate, turned for the first class."""
        assert self.task.coordinates_NC is not None
        turned_N = 2 * self.target.labels_N - 1
        score_N: FloatArray = self.task.coordinates_NC[:, 0].astype(np.float64) * turned_N
        return score_N

    def train_N(self, score_N: FloatArray) -> BoolArray:
        """Return (N,) True for the upper half of each class, by the pool's medians."""
        median_C = [
            np.median(score_N[self.pool[self.target.labels_N[self.pool] == c]])
            for c in range(self.target.k)
        ]
        train_N: BoolArray = score_N > np.array(median_C)[self.target.labels_N]
        return train_N

    def cases(self, way: str, train_N: BoolArray) -> list[Case]:
        """Return the trainings on a cut; asked are the pool's test side and all unseen images."""
        inside_N = np.zeros(len(train_N), dtype=np.bool_)
        inside_N[self.pool] = True
        test = np.flatnonzero(inside_N & ~train_N)
        return [
            Case(
                key=f"{self.spec} {self.seed} {way} run {run}",
                target=self.target,
                fit=drawn(inside_N & train_N, self.target, [POOL] * 2, "lts fit"),
                measured=np.union1d(test, np.flatnonzero(~self.seen_N)),
                seeds=seeds_of(self.seed, "lts", self.spec, run),
            )
            for run in range(RUNS)
        ]


def run(lab: Laboratory, learner: str) -> Row:
    """Cut every pool three ways, train on each, and ask what the cuts are about."""
    cells, cost = resist.cells_of(lab, learner)
    with stand(lab, learner, "resist", resist.SIZES.fit, cells.seen_N) as own:
        chosen = {row["target"]: row["worst"] for row in resist.measured(own, cells)}
    tasks = {task.name: task for task in cells.tasks}
    rows, about = [], []
    with stand(lab, learner, "lts", POOL // 2, cells.seen_N) as own:
        hold(own.bench.images, np.arange(len(lab.dataset)))
        for number in human.CORE[:TARGETS]:
            spec = human.target(number)
            cuts: dict[tuple[str, int], BoolArray] = {}
            for seed in SEEDS:
                arena = Arena(
                    spec=spec,
                    target=cells.targets[spec],
                    task=tasks[chosen[spec]],
                    seen_N=cells.seen_N,
                    seed=seed,
                )
                learnt_N, search = _learnt(own, arena)
                scores = {LEARNT: learnt_N, OURS: arena.task_N(), CHANCE: arena.chance_N()}
                for way, score_N in scores.items():
                    cuts[way, seed] = arena.train_N(score_N)
                row = _row(own, arena, {way: cuts[way, seed] for way in scores})
                rows.append({**row, "search": search})
            about.append(_about(lab, cells.targets[spec], cuts, cells.seen_N))
        precision = own.config.precision
    return {
        "learner": learner,
        "preset": "quick",
        "precision": precision,
        "pool": POOL,
        "runs": RUNS,
        "discovery": cost,
        "rows": rows,
        "about": about,
    }


def _learnt(own: Stand, arena: Arena) -> tuple[FloatArray, Row]:
    """Learn to split the pool; return the splitter's (N,) scores, and what it took."""

    def work(watch: Watch) -> Record:
        wall, began = time.perf_counter(), time.process_time()
        bench = own.bench
        pool = Pool(
            images=bench.images,
            rows=arena.pool,
            labels_N=arena.target.labels_N,
            classes=arena.target.k,
            learner=bench.learner,
            shape=bench.shape,
            normalization=bench.normalization,
        )

        def predictor(fit: IntArray, asked: IntArray, number: int) -> IntArray:
            seeds = seeds_of(arena.seed, "lts predictor", arena.spec, number)
            case = Case(key="", target=arena.target, fit=fit, measured=asked, seeds=seeds)
            outputs = own.training(case).run(bench.images)
            return outputs.argmax(dim=1).numpy().astype(np.int64)

        found = learn_to_split(pool, predictor, OPTIONS, arena.seed)
        spent = {
            "processor_seconds": round(time.process_time() - began, 1),
            "seconds": round(time.perf_counter() - wall, 1),
        }
        values = {"rounds": len(found.gaps), "kept": found.best, **spent, "gaps": found.gaps}
        score_N = found.splitter.scores(np.arange(len(arena.seen_N)))
        return Record(values=values, arrays={"score": score_N})

    record = own.bench.journal.do(f"{arena.spec} {arena.seed} splitter", work)
    search = dict(record.values)
    search["gaps"] = [row["gap"] for row in search["gaps"]]
    return record.arrays["score"].astype(np.float64), search


def _row(own: Stand, arena: Arena, cuts: dict[str, BoolArray]) -> Row:
    """Train on each cut; return accuracies on the pool's test side and on that of unseen images."""
    cases = {way: arena.cases(way, train_N) for way, train_N in cuts.items()}
    answers = own.predictions([case for some in cases.values() for case in some])
    row: Row = {"target": arena.spec, "task": arena.task.name, "seed": arena.seed}
    inside_N = np.isin(np.arange(len(arena.seen_N)), arena.pool)

    def mean(asked: str, rows: IntArray) -> float:
        values = [
            accuracy(answers[case.key], case.measured, rows, arena.target)
            for case in cases[asked]
            if case.key in answers
        ]
        return round(float(np.mean(values)), 4)

    for way, train_N in cuts.items():
        fresh_N = ~train_N & ~arena.seen_N
        fresh = even(fresh_N, arena.target, int(fresh_N.sum()), "lts test", arena.spec, arena.seed)
        row[way] = {
            "pool": mean(way, np.flatnonzero(inside_N & ~train_N)),
            "unseen": mean(way, fresh),
            "random_there": mean(CHANCE, fresh),
            "train": len(cases[way][0].fit),
            "unseen_images": len(fresh),
        }
    return row


def _about(
    lab: Laboratory,
    target: Labeling,
    cuts: dict[tuple[str, int], BoolArray],
    seen_N: BoolArray,
) -> Row:
    """Ask by the package's evidence what cuts are about, and how alike they are.

    Measured on images that neither discovery nor a splitter has seen.
    """
    known = {f"{LEARNT}, seed {seed}": cuts[LEARNT, seed] for seed in SEEDS}
    known |= {OURS: cuts[OURS, SEEDS[0]], CHANCE: cuts[CHANCE, SEEDS[0]]}
    labelings = []
    for name, train_N in known.items():
        sides = {"train side": train_N, "× class": train_N == (target.labels_N == 1)}
        for kind, side_N in sides.items():
            labels_N = side_N.astype(np.int64)
            labelings.append(replace(lab.binary(f"{name}, {kind}", labels_N), seen_N=seen_N))
    evidence = td.analyze(lab.dataset, labelings, **lab.hardware, callbacks=())
    unseen_N = ~seen_N
    pairs = {
        f"{a} | {b}": round(float(np.corrcoef(known[a][unseen_N], known[b][unseen_N])[0, 1]), 4)
        for a, b in combinations(known, 2)
    }
    associations = evidence.associations
    top = {}
    for labeling in labelings:
        rows = associations[associations["task"] == labeling.name].head(3)
        top[labeling.name] = [
            {
                "property": " ".join(filter(None, (str(row["factor"]), str(row["level"])))),
                "effect": round(float(row["effect"]), 4),
            }
            for row in rows.to_dict("records")
        ]
    return {"target": target.name, "verdicts": evidence.verdicts, "top": top, "phi": pairs}


def costs(result: Row, spec: str, where: str) -> dict[str, Row]:
    """Return what each way costs against the random split, over seeds: `pool` or `unseen`."""
    rows = [row for row in result["rows"] if row["target"] == spec]
    usual = [row[CHANCE][where] for row in rows]
    found = {
        way: paired.difference(usual, [row[way][where] for row in rows]) for way in (LEARNT, OURS)
    }
    found["more"] = paired.difference(
        [row[LEARNT][where] for row in rows], [row[OURS][where] for row in rows]
    )
    return found


def strongest(about: Row) -> dict[str, float]:
    """Return the greatest effect on train side × class of both ways; of seeds the mean."""
    found: dict[str, list[float]] = {LEARNT: [], OURS: []}
    for name, rows in about["top"].items():
        for way in found:
            if name.startswith(way) and name.endswith("× class"):
                found[way].append(rows[0]["effect"] if rows else 0.0)
    return {way: round(float(np.mean(values)), 4) for way, values in found.items()}


def tell(results: list[Row], place: Path) -> str:
    """Write accuracies, what they cost, what they took, and what cuts are about."""
    first = results[0]
    parts = [
        "## Beside Learning to Split",
        "A splitter that learns to move what a network predicts right into the train part (Bao and "
        f"Barzilay, arXiv 2204.13749, written anew), on {first['pool']:,} images, beside a cut "
        "along the worst discovered task and one by chance: half of each class is trained on in "
        f"all three. Mean of three seeds (pool, splitter, networks; {first['runs']} runs each). "
        "`pool`: the test side of the images that were split; `unseen`: that of images which "
        "neither splitter nor discovery has seen. `there`: networks of the random split on the "
        "same unseen images. Intervals of what a cut costs against the random one are over seeds.",
    ]
    for result in results:
        parts += [_table(result), _hard(result), _took(result), *map(_told, result["about"])]
    return paragraphs(parts)


def _table(result: Row) -> str:
    lines = []
    for spec in dict.fromkeys(row["target"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["target"] == spec]
        for way in (LEARNT, OURS, CHANCE):
            cells = [
                f"{np.mean([row[way][key] for row in rows]):.3f}"
                for key in ("pool", "unseen", "random_there")
            ]
            more = ["–", "–"]
            if way != CHANCE:
                more = [
                    paired.told(costs(result, spec, where)[way]) for where in ("pool", "unseen")
                ]
            lines.append([f"`{spec}`", way, *cells, *more])
    head = [f"`{result['learner']}`", "cut", "pool", "unseen", "there", "costs, pool"]
    return table([*head, "costs, unseen"], lines)


def _took(result: Row) -> str:
    searches = [row["search"] for row in result["rows"]]
    spent = [own["processor_seconds"] for own in searches]
    rounds, kept = ([own[key] for own in searches] for key in ("rounds", "kept"))
    own = result["discovery"]
    ours = (
        f"{own['processor_seconds']:.0f} s of the processor"
        if "processor_seconds" in own
        else f"{own['seconds']:.0f} s of the clock (other work ran beside it)"
    )
    return (
        f"`{result['learner']}`: learning a split took {np.mean(spent):.0f} s of the processor a "
        f"target and seed ({min(rounds)} to {max(rounds)} rounds, the one kept {min(kept)} to "
        f"{max(kept)}); the search for 32 tasks, once for all targets, {ours}, without the "
        "trainings by which one of eight was chosen."
    )


def _hard(result: Row) -> str:
    """Say what part of the cost on unseen images is that these are hard, whatever is trained on."""
    parts = []
    for way in (LEARNT, OURS):
        usual = float(np.mean([row[CHANCE]["unseen"] for row in result["rows"]]))
        there = float(np.mean([row[way]["random_there"] for row in result["rows"]]))
        own = float(np.mean([row[way]["unseen"] for row in result["rows"]]))
        parts.append(f"{usual - there:.3f} of {usual - own:.3f} {_named(way)}")
    gaps = [row["search"]["gaps"][row["search"]["kept"]] for row in result["rows"]]
    return (
        f"Networks of the random split lose, on the same unseen images, {' and '.join(parts)}: so "
        "much of the cost is that the images are hard, whatever is trained on. Drawn as the "
        "splitter draws it, in the round that was kept, its gap (held-out part of its train part "
        f"less its test part) was {min(gaps):.2f} to {max(gaps):.2f}."
    )


def _named(way: str) -> str:
    return "on those of Learning to Split" if way == LEARNT else "on those across the task"


def _told(about: Row) -> str:
    effect = strongest(about)
    between = [value for name, value in about["phi"].items() if name.count(LEARNT) == 2]
    ours = [v for name, v in about["phi"].items() if LEARNT in name and OURS in name]
    lines = [
        [name, about["verdicts"].get(name, "–"), _first(rows)]
        for name, rows in about["top"].items()
        if name.endswith("× class") and not name.startswith(CHANCE)
    ]
    return paragraphs(
        [
            f"What the cuts of `{about['target']}` are about, on unseen images (train side × "
            "class): the greatest effect of a property is "
            f"{effect[LEARNT]:.2f} for Learning to Split and {effect[OURS]:.2f} along the task. "
            f"Train sides of two seeds of Learning to Split correlate by {_range(between)}, and "
            f"with that along the task by {_range(ours)} (below 0: turned the other way).",
            table(["cut", "verdict", "strongest property"], lines),
        ]
    )


def _first(rows: list[Row]) -> str:
    return f"{rows[0]['property']} ({rows[0]['effect']:.2f})" if rows else "–"


def _range(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def judge(results: list[Row]) -> list[Verdict]:
    """Say what became of the claims, for each learner and target."""
    cases: list[list[tuple[bool, str]]] = [[], [], []]
    for result in results:
        for about in result["about"]:
            spec, name = about["target"], f"`{result['learner']}` `{about['target']}`"
            own, effect = costs(result, spec, "pool")[LEARNT], strongest(about)
            beside = costs(result, spec, "unseen")["more"]
            text = f"{name} {effect[OURS]:.2f} against {effect[LEARNT]:.2f}"
            cases[0].append((own["mean"] >= LEAST, f"{name} {paired.told(own)}"))
            cases[1].append((beside["mean"] >= MORE, f"{name} {paired.told(beside)}"))
            cases[2].append((effect[OURS] - effect[LEARNT] >= CLEARER, text))
    return [judging.verdict(own) for own in cases]


STUDY = Study(
    run=run,
    tell=tell,
    minutes=30,
    learners=("mlp", "convnet"),
    about="splits along tasks beside Learning to Split",
    claims=CLAIMS,
    judge=judge,
)
