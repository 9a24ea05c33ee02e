"""Which names do tasks get, are they right, and does chance get any?

Tasks of `pursuit` on features of lite0 beside the human attribute that each fits best (chosen on
images that discovery has seen, measured on the others; attributes as in `experiments/attributes`).
Beside them, on the same images and partition: random labelings of the same class rates, and the
same tasks after the scores of the images have been shuffled. Neither has a name to be found.

For CIFAR-10 the first name of each side is judged, too: right where the word covers some of the ten
classes by WordNet, and held-out images of these are more often on this side than others are.

    python -m benchmarks.names bar --data parquet:bar/train.parquet --seeds 0 1 2
    python -m benchmarks.names cifar10 --data parquet:cifar10/train.parquet --images 4500

Axes: N images, W words.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from experiments import attributes as fixed
from experiments.meaning import balanced_accuracies

import taskdiscovery as td
from benchmarks.machine import own_process
from taskdiscovery.analysis import naming
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import BoolArray, FloatArray, IntArray, Name, Tasks

ALIVE = ("bird", "cat", "deer", "dog", "frog", "horse")
MADE = ("airplane", "automobile", "ship", "truck")
#: the classes of CIFAR-10 that a word covers; other words cover none.
COVERED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("organism", "animal", "vertebrate"), ALIVE),
    **dict.fromkeys(("man-made object", "vehicle"), MADE),
    **dict.fromkeys(("dog", "canine"), ("dog",)),
    **dict.fromkeys(("domestic cat", "feline"), ("cat",)),
    **dict.fromkeys(("amphibian", "frog or toad", "tailed frog"), ("frog",)),
    **dict.fromkeys(("airplane", "aircraft"), ("airplane",)),
    **dict.fromkeys(("watercraft", "ship", "boat"), ("ship",)),
    "mammal": ("cat", "deer", "dog", "horse"),
    "carnivore": ("cat", "dog"),
    "domestic animal": ("cat", "dog", "horse"),
    "hoofed mammal": ("deer", "horse"),
    "even-toed ungulate": ("deer",),
    **dict.fromkeys(("wheeled vehicle", "motor vehicle"), ("automobile", "truck")),
    "self-propelled vehicle": ("automobile", "truck"),
    "car": ("automobile",),
    "truck": ("truck",),
    "ship or aircraft": ("airplane", "ship"),
    "bird": ("bird",),
}


def balanced_accuracy(task_N: BoolArray, attribute_N: BoolArray) -> float:
    """Return the mean of the shares that are right on either side."""
    return float(balanced_accuracies(task_N[:, None], attribute_N[:, None])[0, 0])


def best_attribute(
    task_N: BoolArray, attributes: Mapping[str, BoolArray], seen_N: BoolArray
) -> tuple[str, int, float]:
    """Return the attribute that a task fits best, the class that has it, and its BA elsewhere."""
    known = {
        name: balanced_accuracy(task_N[seen_N], own[seen_N]) for name, own in attributes.items()
    }
    best = max(known, key=lambda name: abs(known[name] - 0.5))
    value = balanced_accuracy(task_N[~seen_N], attributes[best][~seen_N])
    return (best, 1, value) if known[best] >= 0.5 else (best, 0, 1 - value)


def random_labelings(tasks: Tasks, count: int, seed: int) -> Tasks:
    """Return labelings of the class rates of tasks, in turn, that know nothing of the images."""
    rng = np.random.default_rng(seed)
    columns = [rng.permutation(tasks.labels_ND[:, i % len(tasks)]) for i in range(count)]
    names = tuple(f"random_{i}" for i in range(count))
    return Tasks(
        labels_ND=np.stack(columns, axis=1), names=names, ids_N=tasks.ids_N, k=(2,) * count
    )


def judged(names: tuple[Name, ...], tasks: Tasks, data: td.Dataset, held: IntArray) -> str:
    """Say how many of the first names of a side are right, by the human labels."""
    assert data.labels is not None
    counts = {"right": 0, "wrong": 0, "of words that cover no class": 0}
    for name in {(name.task, name.side): name for name in reversed(names)}.values():
        classes = [data.classes.index(c) for c in COVERED.get(name.word, ())]
        side_N = tasks[name.task].labels_N[held] == int(name.side)
        covered_N = np.isin(data.labels[held], classes)
        if not classes:
            counts["of words that cover no class"] += 1
        elif side_N[covered_N].mean() > side_N[~covered_N].mean():
            counts["right"] += 1
        else:
            counts["wrong"] += 1
    return ", ".join(f"{count} {what}" for what, count in counts.items())


def shown(names: tuple[Name, ...], task: str) -> str:
    """Return the names of a task in a line, with their intervals."""
    sides: dict[str, list[str]] = {}
    for name in names:
        if name.task == task:
            told = f"{name.word} {name.auc:.2f} ({name.low:.2f} to {name.high:.2f})"
            sides.setdefault(name.side, []).append(told)
    return "; ".join(f"{side}: {', '.join(told)}" for side, told in sides.items()) or "no name"


def study(data: td.Dataset, name: str, options: argparse.Namespace, seed: int) -> None:
    """Print a row for each task, and how many names chance has got."""
    found = td.discover(data, method=td.Pursuit(cap=options.cap), tasks=options.tasks, seed=seed)
    tasks, attributes = found.tasks, fixed.of(data).masks(data)
    seen_N = tasks.seen_N
    assert seen_N is not None
    rows = np.flatnonzero(seen_N), np.flatnonzero(~seen_N)
    namer = naming.namer_of("lite0")
    scores = tuple(namer.scores(data, own, Callbacks()) for own in rows)

    def named(tasks: Tasks, scores: tuple[FloatArray, ...] = scores) -> tuple[Name, ...]:
        return naming.name_tasks(tasks, rows, (scores[0], scores[1]), namer.vocabulary)

    names = named(tasks)
    print(
        f"\nseed {seed}: {len(tasks)} tasks, {len(rows[0])} images of train, {len(rows[1])} others"
    )
    for d, task in enumerate(tasks.names):
        label_N = tasks.labels_ND[:, d].astype(bool)
        attribute, side, value = best_attribute(label_N, attributes, seen_N)
        fit = f"{attribute} = {side} ({value:.2f})"
        print(f"{task} | rate {label_N.mean():.2f} | {fit} | {shown(names, task)}")
    print(f"with a name: {len({n.task for n in names})} of {len(tasks)} tasks")
    if name == "cifar10":
        print(f"first names of a side: {judged(names, tasks, data, rows[1])}")
    chance = named(random_labelings(tasks, options.random, seed))
    print(f"random labelings with a name: {len({n.task for n in chance})} of {options.random}")
    rng = np.random.default_rng(seed)
    shuffled = tuple(rng.permutation(own) for own in scores)
    nothing = named(tasks, shuffled)
    print(f"after shuffling: {len({n.task for n in nothing})} of {len(tasks)} tasks")


def main() -> None:
    """Print what the seeds give."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=[known.name for known in fixed.every()])
    parser.add_argument("--data", required=True)
    parser.add_argument("--images", type=int, default=None, help="the first so many")
    parser.add_argument("--tasks", type=int, default=16)
    parser.add_argument("--cap", type=float, default=0.5)
    parser.add_argument("--random", type=int, default=200, help="random labelings")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args()
    own_process(options.threads)
    whole = td.load(options.data)
    assert whole.labels is not None
    some = slice(None, options.images)
    labels = [whole.classes[c] for c in whole.labels[some]]
    data = td.embed(td.load(whole.images[some], labels=labels), threads=options.threads)
    data = replace(data, name=options.name)
    for seed in options.seeds:
        study(data, options.name, options, seed)


if __name__ == "__main__":
    main()
