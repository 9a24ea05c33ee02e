"""The experiments. Each takes the laboratory and a learner, and returns what is to be recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from experiments import figures, laboratory
from experiments.laboratory import CORE, CUTS, Laboratory, Row, as_targets, flipped, mean
from taskdiscovery import jobs
from taskdiscovery.config import SplitConfig
from taskdiscovery.rundir import RunDir
from taskdiscovery.types import Target


@dataclass(frozen=True, kw_only=True)
class Study:
    """An experiment.

    Attributes:
        run: does it.
        minutes: its budget on two cores.
        learners: which it is made for.
        about: one line.
    """

    run: Callable[[Laboratory, str], Row]
    minutes: int
    learners: tuple[str, ...]
    about: str


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many labelings of each kind fit a learner's budget.

    Attributes:
        human: ways to cut ten classes.
        random: random labels.
        tasks: that are searched for.
        scored: of these, spread over their order.
    """

    human: int
    random: int
    tasks: int
    scored: int


SIZES = {
    "mlp": Size(human=28, random=3, tasks=32, scored=32),
    "convnet": Size(human=20, random=1, tasks=32, scored=8),
    "vit?width=0.5&patch=8": Size(human=20, random=1, tasks=32, scored=8),
    "resnet18?width=0.125": Size(human=20, random=1, tasks=32, scored=8),
}
ALL = tuple(SIZES)
#: those of the square table.
SQUARE = ALL[:3]


def found(lab: Laboratory, learner: str, tasks: int = 0, **more: Any) -> tuple[Any, Row]:
    """Return the power tasks of a learner; the other studies share the search."""
    tasks = tasks or SIZES[learner].tasks
    own = f"{learner} d={tasks}{described(more)}"
    return lab.tasks(own, learner=learner, tasks=tasks, train_images=20_000, **more)


def described(more: Row) -> str:
    """Name the options of a search."""
    return "".join(f" {key}={value}" for key, value in more.items())


def separates(lab: Laboratory, learner: str) -> Row:
    """AS of human, random and discovered labelings, for one learner."""
    size = SIZES[learner]
    tasks, search = found(lab, learner)
    labelings = {
        "human": lab.human(size.human),
        "random": lab.random(size.random),
        "power": as_targets(tasks, "power", size.scored),
    }
    rows = []
    for kind, targets in labelings.items():  # a journal each, so that any of them may grow
        rows += lab.scores(
            f"separates {learner} {kind}", targets, train=tasks.train, learner=learner
        )
    kinds = {kind: mean(rows, kind) for kind in labelings}
    power = sorted((row for row in rows if row["kind"] == "power"), key=itemgetter("agreement"))
    verdicts = lab.verdicts(f"{learner} d={size.tasks}")
    pictured = []
    for which, row in (("best", power[-1]), ("worst", power[0])):
        at = int(row["task"].split()[1])
        place = laboratory.result_path(f"separates-{which}", learner, "webp")
        figures.extremes(tasks, at, place)
        known = {key: row[key] for key in ("task", "agreement", "low", "high")}
        pictured.append({"which": which, **known, "verdict": verdicts[at], "image": place.name})
    return {
        "learner": learner,
        "preset": "quick",
        "tasks": size.tasks,
        "pictured": pictured,
        "kinds": kinds,
        "power_above_human": round(kinds["power"]["mean"] - kinds["human"]["mean"], 4),
        "similarity": search["similarity"],
        "search": {"iterations": search["iterations"], **lab.cost(f"{learner} d={size.tasks}")},
        "rows": rows,
    }


#: outer steps of `meta`, which are what its time goes by.
STEPS = 150
#: what is compared, and by which options of the search.
METHODS: dict[str, dict[str, Any]] = {
    "power": {},
    "spectral": {"method": "spectral"},
    "pixels": {"method": "spectral", "start": "pixels"},
    "meta": {"method": "meta", "outer_steps": STEPS},
}


def methods(lab: Laboratory, learner: str) -> Row:
    """The methods at equal numbers of tasks: agreement, similarity, and what they cost."""
    rows = []
    for count in (8, 32):
        for name, options in METHODS.items():
            tasks, search = found(lab, learner, count, **options)
            scores = lab.scores(
                f"methods {learner} {name} {count}",
                as_targets(tasks, name, 4),
                train=tasks.train,
                learner=learner,
            )
            start = options.get("start")
            rows.append(
                {
                    "method": search["method"] + (f" --start {start}" if start else ""),
                    "tasks": count,
                    "agreement": mean(scores, name),
                    "kappa": round(float(np.mean([row["kappa"] for row in scores])), 4),
                    "similarity": search["similarity"],
                    "cost": lab.cost(f"{learner} d={count}" + described(options)),
                    "rows": scores,
                }
            )
    return {"learner": learner, "preset": "quick", "rows": rows}


def paper(lab: Laboratory, learner: str) -> Row:
    """Four of 32 tasks, spread over their order, by the published protocol."""
    tasks, search = found(lab, learner, 32)
    rows = lab.scores(
        f"paper {learner}",
        as_targets(tasks, "power", 4),
        train=tasks.train,
        learner=learner,
        preset="paper",
    )
    return {
        "learner": learner,
        "preset": "paper",
        "kinds": {"power": mean(rows, "power")},
        "similarity": search["similarity"],
        "rows": rows,
    }


def architectures(lab: Laboratory, learner: str) -> Row:
    """Tasks found for each architecture, scored with this one."""
    targets, train = [], None
    for other in SQUARE:
        tasks, _ = found(lab, other)
        train = tasks.train if train is None else train & tasks.train
        targets += as_targets(tasks, other.partition("?")[0], 3)
    rows = lab.scores(f"architectures {learner}", targets, train=train, learner=learner)
    kinds = {other: mean(rows, other.partition("?")[0]) for other in SQUARE}
    return {"learner": learner, "preset": "quick", "found_for": kinds, "rows": rows}


def splits(lab: Laboratory, learner: str) -> Row:
    """A core target: a split, its controls, and other architectures on the same splits."""
    rows = []
    found(lab, learner)
    for number in CORE[:1]:
        place = lab.work / f"split {learner} human {number}"
        config = SplitConfig(
            target=f"label:{','.join(map(str, CUTS[number]))}",
            source=str(lab.work / f"discover {learner} d={SIZES[learner].tasks}"),
            learner=learner,
            runs=2,
            train_images=10_000,
            transfer=";".join(other for other in SQUARE if other != learner),
            threads=lab.threads,
        )
        if not (place / "status.json").exists():
            jobs.run_split(lab.dataset, config, place)
        elif RunDir.open(place).state() != "done":
            jobs.resume(place, lab.dataset)
        result = RunDir.open(place).result()
        keys = ("target", "task", "orientation", "accuracy", "transfer", "where_runs_agree")
        rows.append({key: result[key] for key in keys})
    return {"learner": learner, "preset": "quick", "rows": rows}


def sizes(lab: Laboratory, learner: str) -> Row:
    """AS against the number of training images: at as many updates for each, and as many epochs.

    The batch divides all sizes, and is small enough for some hundred updates on the smallest.
    """
    tasks, _ = found(lab, learner)
    targets = [*lab.human(2), *lab.random(1), *as_targets(tasks, "power", 2)]
    batch, usual = 250, 6
    rows = []
    for images in (1000, 3000, 9000, 27_000):
        as_many_updates = usual * 9000 // images
        for equal, epochs in (("updates", as_many_updates), ("epochs", usual)):
            name = f"sizes {learner} {images} in {epochs} epochs"
            for row in lab.scores(
                name,
                targets,
                train=tasks.train,
                learner=learner,
                train_images=images,
                epochs=epochs,
                batch=batch,
            ):
                updates = epochs * images // batch
                own = {"equal": equal, "train_images": images, "epochs": epochs}
                rows.append({**row, **own, "updates": updates})
    return {"learner": learner, "preset": f"quick, batches of {batch}", "rows": rows}


def beyond(lab: Laboratory, learner: str) -> Row:
    """What is left when statistics of the image, and its labels, are projected out."""
    stages: dict[str, dict[str, str]] = {
        "nothing": {},
        "brightness, colour, contrast, saturation": {
            "exclude": "brightness,colour,contrast,saturation"
        },
        "and labels": {"exclude": "label,brightness,colour,contrast,saturation"},
        "within each class": {"within": "label"},
    }
    rows: list[Row] = []
    for name, more in stages.items():
        tasks, search = found(lab, learner, 8, **more)
        verdicts = lab.verdicts(f"{learner} d=8{described(more)}")
        chosen = as_targets(tasks, "power", 4)
        scores = lab.scores(f"beyond {learner} {name}", chosen, train=tasks.train, learner=learner)
        rows.append(
            {
                "removed": name,
                "agreement": mean(scores, "power"),
                "excluded": search.get("excluded", {}),
                "similarity": search["similarity"],
                "verdicts": [verdicts[int(target.name.split()[1])] for target in chosen],
                "rows": scores,
            }
        )
    return {"learner": learner, "preset": "quick", "rows": rows}


def accuracy(lab: Laboratory, learner: str) -> Row:
    """AS against test accuracy, over human tasks and noise levels."""
    human = lab.human(SIZES[learner].human)
    noisy = [flipped(human[i], share) for i in (0, 3) for share in (0.05, 0.1, 0.2, 0.3, 0.4)]
    # The human ones are those of `separates`, on the same images.
    rows = lab.scores(f"separates {learner}", human, learner=learner)
    rows += lab.scores(f"accuracy {learner}", noisy, learner=learner)
    pairs = np.array([[row["agreement"], row["accuracy"]] for row in rows])
    return {
        "learner": learner,
        "preset": "quick",
        "spearman": round(float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic), 4),
        "largest_gap": round(float(np.abs(pairs[:, 0] - pairs[:, 1]).max()), 4),
        "rows": rows,
    }


def photographs(lab: Laboratory, learner: str) -> Row:
    """Four hundred photographs: features of an untrained network, and what they can carry."""
    dataset = lab.dataset
    small = Laboratory(dataset=dataset, work=lab.work, threads=lab.threads)
    tasks, search = small.tasks(
        f"photographs {learner}", learner=learner, tasks=4, method="spectral"
    )
    assert dataset.labels is not None
    half = len(dataset.classes) // 2
    human = Target(
        name="human 0", labels=(dataset.labels < half).astype(np.int64), classes=("0", "1")
    )
    rng = np.random.default_rng(0)
    chance = Target(name="random 0", labels=rng.permutation(human.labels), classes=("0", "1"))
    rows = small.scores(
        f"photographs {learner}",
        [human, chance, *as_targets(tasks, "spectral")],
        train=tasks.train,
        learner=learner,
        runs=5,
        epochs=30,
        batch=64,
    )
    return {
        "learner": learner,
        "preset": "quick, 30 epochs, batches of 64, five runs",
        "images": len(dataset),
        "similarity": search["similarity"],
        "rows": rows,
    }


STUDIES: dict[str, Study] = {
    "separates": Study(
        run=separates, minutes=130, learners=ALL, about="AS separates tasks; discovered beat human"
    ),
    "methods": Study(
        run=methods, minutes=30, learners=("mlp",), about="methods at equal numbers of tasks"
    ),
    "paper": Study(run=paper, minutes=40, learners=("mlp",), about="the published protocol"),
    "architectures": Study(
        run=architectures, minutes=45, learners=SQUARE, about="tasks of one scored with another"
    ),
    "splits": Study(run=splits, minutes=20, learners=("convnet",), about="adversarial splits"),
    "sizes": Study(run=sizes, minutes=10, learners=("mlp",), about="more data"),
    "beyond": Study(run=beyond, minutes=20, learners=("mlp",), about="beyond colour"),
    "accuracy": Study(run=accuracy, minutes=10, learners=("mlp",), about="does AS tell accuracy?"),
    "photographs": Study(
        run=photographs, minutes=3, learners=("mlp",), about="four hundred photographs"
    ),
}
