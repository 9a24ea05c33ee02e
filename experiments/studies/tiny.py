"""Tiny-ImageNet: human, random, discovered and k-way tasks on other images.

The human tasks are the five binary ones that were published with the paper, each one side's hundred
of the two hundred classes. Its data are another set than the other studies'.

Axes: N images, L labelings, C classes of a side.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from experiments import figures
from experiments.laboratory import Laboratory, as_labelings
from experiments.markdown import paragraphs, table
from experiments.paired import told
from experiments.records import Row
from experiments.repeated import average, of_all, of_kinds, over_kinds, over_seeds
from experiments.study import Claim, Study, Verdict
from taskdiscovery import scoring
from taskdiscovery.types import Labeling

FILE, CLASSES = "tiny_imagenet_binary_tasks.npy", 200
SEEDS = (0, 1, 2)
#: tasks that are searched for, of two classes and of several; how many of each kind are scored.
TASKS, KWAY, K = 16, 4, 4
POWER, SPECTRAL, KWAY_SCORED = 4, 2, 2
KINDS = {
    "human": "human",
    "random": "random",
    "power": "`power`",
    "spectral": "`spectral` (untrained features)",
    "kway": f"`power`, {K} classes",
    "kway-random": f"random, {K} classes",
}


def run(lab: Laboratory, learner: str) -> Row:
    """Search and score from every seed."""
    known = human(lab)
    scored, found = [], []
    for seed in SEEDS:
        labelings: list[Labeling] = [*known, _random("random 0", known[0])]
        options = {"learner": learner, "seed": seed}
        tasks, result = lab.tasks(f"tiny {learner} {seed}", tasks=TASKS, **options)
        labelings += as_labelings(tasks, "power", POWER)
        more = {"method": "spectral", "tasks": TASKS, **options}
        components, _ = lab.tasks(f"tiny {learner} spectral {seed}", **more)
        labelings += as_labelings(components, "spectral", SPECTRAL)
        several, _ = lab.tasks(f"tiny {learner} kway {seed}", tasks=KWAY, classes=K, **options)
        labelings += as_labelings(several, "kway", KWAY_SCORED)
        labelings.append(_random("kway-random 0", labelings[-1]))
        name = f"tiny {learner} {seed}"
        scored.append(lab.scores(name, labelings, seen_N=tasks.seen_N, **options))
        found.append({"seed": seed, "similarity": result["similarity"]})
    return {
        "learner": learner,
        "preset": "quick",
        "data": "Tiny-ImageNet",
        "images": len(lab.dataset),
        "size": int(lab.dataset.images.shape[1]),
        "seeds": list(SEEDS),
        "found": found,
        "rows": over_seeds(scored),
    }


def human(lab: Laboratory) -> list[Labeling]:
    """Return the published binary tasks.

    Raises:
        ValueError: where there are none, or they are of other classes than the data has.
    """
    if lab.published is None:
        raise ValueError(f"tiny needs --published, the folder that has {FILE}")
    sides_LC = np.load(Path(lab.published) / FILE)
    labels_N = lab.dataset.labels
    if labels_N is None or len(lab.dataset.classes) != CLASSES:
        raise ValueError(
            f"{FILE} is of {CLASSES} classes, the data has {len(lab.dataset.classes)}: give "
            "Tiny-ImageNet as --data"
        )
    return [
        lab.binary(f"human {i}", np.isin(labels_N, side_C).astype(np.int64))
        for i, side_C in enumerate(sides_LC)
    ]


def _random(name: str, like: Labeling) -> Labeling:
    """Return random labels with the rates of a labeling."""
    return replace(scoring.random_like(like, 0), name=name)


def tell(results: list[Row], place: Path) -> str:
    """Write AS and κ by kind, and how far discovered tasks are above human ones."""
    figures.kinds(results, place / "tiny.svg")
    lines = []
    for result in results:
        for kind, about in KINDS.items():
            rows = of_kinds(result["rows"], kind)
            values = [row["agreement"] for row in rows]
            lines.append(
                [
                    f"`{result['learner']}`",
                    f"{len(rows)} {about}",
                    f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})",
                    f"{average(rows, 'kappa'):.3f}",
                    f"{average(rows, 'accuracy'):.3f}",
                ]
            )
    first = results[0]
    return paragraphs(
        [
            "## Tiny-ImageNet",
            f"{first['images']:,} images of {first['size']} pixels, sixty of each of {CLASSES} "
            "classes; a tenth is held out, preset `quick`. Human: the five binary tasks published "
            f"with the paper, {CLASSES // 2} classes a side. Each search and each score from "
            f"{len(first['seeds'])} seeds; labelings, mean AS (least to greatest).",
            table(["learner", "labelings", "AS", "κ", "accuracy"], lines),
            *(_above(result) for result in results),
            "![AS by kind of labeling on Tiny-ImageNet](figures/tiny.svg)",
        ]
    )


def _above(result: Row) -> str:
    """Say how far discovered tasks are above others, seed by seed."""
    alike = np.mean([own["similarity"]["mean"] for own in result["found"]])
    said = [
        f"{told(over_kinds(result['rows'], 'power', kind))} beside {words}"
        for kind, words in (("human", "human tasks"), ("spectral", "`spectral`"))
    ]
    random = told(over_kinds(result["rows"], "human", "random"))
    return (
        f"`{result['learner']}`: AS of `power` is {' and '.join(said)} (95 % interval over seeds), "
        f"at a mean similarity of {alike:.3f} over {TASKS} tasks; human tasks {random} beside "
        "random labels."
    )


#: bounds of the claims.
ABOVE_HUMAN, NEAR_RANDOM, ABOVE_SPECTRAL, ABOVE_KWAY = 0.15, 0.10, 0.02, 0.2


def _higher(result: Row) -> tuple[bool, str]:
    own = over_kinds(result["rows"], "power", "human")
    return own["low"] > 0, told(own)


def _by_much(result: Row) -> tuple[bool, str]:
    own = over_kinds(result["rows"], "power", "human")
    return own["mean"] >= ABOVE_HUMAN, f"{own['mean']:+.3f}"


def _hard(result: Row) -> tuple[bool, str]:
    own = over_kinds(result["rows"], "human", "random")
    return own["mean"] <= NEAR_RANDOM, told(own)


def _trained(result: Row) -> tuple[bool, str]:
    own = over_kinds(result["rows"], "power", "spectral")
    return own["mean"] >= ABOVE_SPECTRAL, told(own)


def _several(result: Row) -> tuple[bool, str]:
    kway, binary = (average(of_kinds(result["rows"], k), "kappa") for k in ("kway", "human"))
    return kway >= binary + ABOVE_KWAY, f"κ {kway:.3f} against {binary:.3f}"


def judge(results: list[Row]) -> list[Verdict]:
    """Return what became of the claims."""
    return [of_all(results, own) for own in (_higher, _by_much, _hard, _trained, _several)]


CLAIMS = (
    Claim(
        text="Discovered tasks have a higher AS than human ones on Tiny-ImageNet, too, for every "
        "learner, with an interval above 0.",
        paper=True,
    ),
    Claim(text=f"They are at least {ABOVE_HUMAN} above them."),
    Claim(
        text=f"Human tasks of {CLASSES // 2} classes a side are at most {NEAR_RANDOM} of AS above "
        "random labels."
    ),
    Claim(
        text=f"Tasks of `power` are at least {ABOVE_SPECTRAL} above those of `spectral`, which "
        "trains nothing."
    ),
    Claim(
        text=f"Discovered tasks of {K} classes have a κ at least {ABOVE_KWAY} above that of human "
        "binary ones."
    ),
)

STUDY = Study(
    run=run,
    tell=tell,
    minutes=60,
    learners=("mlp", "convnet", "resnet18?width=0.125"),
    about="Tiny-ImageNet",
    claims=CLAIMS,
    judge=judge,
)
