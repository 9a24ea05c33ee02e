"""Splits along tasks of frozen features: do they break a linear probe and a fine-tuned network?

Claimed before the first run (`CLAIMS`): the adversarial split costs a linear probe and a fine-tuned
network at least 0.2 of the accuracy on a random split of its size, whose interval lies apart, on
every data set and binary target.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks import human

import taskdiscovery as td
from experiments import attributes
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.records import Row
from experiments.studies.features import TASKS, embedded
from experiments.study import Study
from experiments.ways import SIDE
from taskdiscovery.store import Run
from taskdiscovery.types import Split

#: what a split is claimed to cost at least, against a random one of its size.
COSTS = 0.2
PROBE, TUNED, PIXELS = "ridge", "lite0?train=last", "convnet"
RUNS = 3
IMAGES, BATCH, EPOCHS = 2000, 64, 8
#: binary targets by data set: halves of the classes.
TARGETS = {
    "cifar10": (human.target(human.CORE[0]),),
    "bar": ("label:0,1,2", "label:0,2,4"),
}


def run(lab: Laboratory, learner: str) -> Row:
    """Split each target along what pursuit finds; train this learner, and a convnet on pixels."""
    known = attributes.of(lab.dataset)
    lab = embedded(lab, known)
    lab = replace(lab, dataset=smaller(lab.dataset))
    tasks = _tasks(lab, lab.work / f"discover featuresplits {known.name}")
    rows = []
    for target in TARGETS[known.name]:
        place = lab.work / f"featuresplits {known.name} {learner} {target}"
        found = _split(lab, target, tasks, learner, place)
        numbers = found.numbers
        keys = ("target", "task", "orientation", "sizes", "measured", "accuracy", "transfer")
        rows.append({key: numbers[key] for key in keys})
    return {
        "learner": f"{known.name}-{learner}",
        "data": known.name,
        "trained": learner,
        "images": len(lab.dataset),
        "side": lab.dataset.images.shape[1],
        "runs": RUNS,
        "rows": rows,
    }


def smaller(data: td.Dataset) -> td.Dataset:
    """Return a data set whose images have 64 pixels a side at most; features stay what they are."""
    if max(data.images.shape[1:3]) <= SIDE:
        return data
    assert data.labels is not None
    images = td.load(data.images, size=SIDE).images
    labels = [data.classes[c] for c in data.labels]
    return td.load(images, labels=labels, features=data.features)


def _tasks(lab: Laboratory, place: Path) -> td.Tasks:
    """Search by pursuit, or open the search that is there."""
    if not (place / "status.json").exists() or Run.open(place).state != "done":
        shutil.rmtree(place, ignore_errors=True)  # it takes seconds
        found = td.discover(
            lab.dataset, method="pursuit", tasks=TASKS, threads=lab.threads, out=place, callbacks=()
        )
        return found.tasks
    return td.open_run(place).tasks


def _split(lab: Laboratory, target: str, tasks: td.Tasks, learner: str, place: Path) -> Split:
    """Split, or go on with a split, or open one that is there."""
    if not (place / "status.json").exists():
        return td.split(
            lab.dataset,
            target,
            tasks,
            learner=learner,
            runs=RUNS,
            train_images=IMAGES,
            batch=BATCH,  # of networks: a side may have some hundred images
            epochs=EPOCHS,
            transfer=[TUNED, PIXELS] if learner == PROBE else [PIXELS],
            threads=lab.threads,
            out=place,
            callbacks=(),
        )
    if Run.open(place).state != "done":
        td.resume(place, data=lab.dataset, tasks=tasks, callbacks=())
    found = td.open_run(place).split
    assert found is not None
    return found


def tell(results: list[Row], place: Path) -> str:
    """Write the accuracies of every split and its controls, and whether the claim holds."""
    names = list(dict.fromkeys(n for r in results for row in r["rows"] for n in row["accuracy"]))
    lines, moved = [], []
    for result in results:
        for row in result["rows"]:
            about = [result["data"], f"`{row['target']}`", row["task"]]
            cells = [_cell(row["accuracy"].get(name)) for name in names]
            lines.append([*about, f"`{result['trained']}`", *cells, _verdict(row["accuracy"])])
            for other, own in row["transfer"].items():
                cells = [_cell(own.get(name)) for name in ("adversarial", "random", "within")]
                verdict = _verdict(own) if other == TUNED else ""
                moved.append([*about, f"`{result['trained']}`", f"`{other}`", *cells, verdict])
    verdicts = [line[-1] for line in [*lines, *moved] if line[-1]]
    held = sum(verdict == "holds" for verdict in verdicts)
    parts = [
        "## Splits along tasks of frozen features",
        f"Tasks of pursuit on `lite0`'s features cut a human target in two; accuracy on images "
        f"that discovery has not seen, mean of {results[0]['runs']} runs with 95 % intervals. "
        f"`{PROBE}` is a linear probe on the features, `{TUNED}` fine-tunes the last block of the "
        f"backbone, on images of {SIDE} pixels at most. "
        f"Claimed: the split costs at least {COSTS} against a random one, with intervals apart: "
        f"{held} of {len(verdicts)} hold.",
        table(["data", "target", "task", "learner", *names, "claim"], lines),
    ]
    if moved:
        head = ["data", "target", "task", "made for", "learner", "adversarial", "random", "within"]
        head.append("claim")
        parts += ["The same splits, networks on pixels, of which one is fine-tuned:"]
        parts += [table(head, moved)]
    return paragraphs(parts)


def _cell(own: Row | None) -> str:
    return "–" if own is None else f"{own['mean']:.3f} [{own['low']:.3f}, {own['high']:.3f}]"


def _verdict(accuracy: Row) -> str:
    """Say whether the adversarial accuracy lies so far below the random one."""
    broken, usual = accuracy["adversarial"], accuracy["random"]
    apart = broken["high"] < usual["low"]
    return "holds" if apart and usual["mean"] - broken["mean"] >= COSTS else "fails"


STUDY = Study(
    run=run,
    tell=tell,
    minutes=20,
    learners=(PROBE, TUNED),
    about="splits along tasks of frozen features",
)
