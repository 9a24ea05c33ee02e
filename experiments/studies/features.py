"""Pursuit beside its peers on frozen features: do tasks line up with what people see?

What was claimed before the first run stands in `features_text`.

Axes: N images, D tasks.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

import taskdiscovery as td
from experiments import attributes, features_text, meaning, ways
from experiments.laboratory import Laboratory
from experiments.meaning import Judged
from experiments.peers import clusters
from experiments.records import Row
from experiments.study import Study
from taskdiscovery.types import BoolArray, IntArray

TASKS, SEEDS = 16, (0, 1, 2)
BACKBONE = "lite0"
#: of data of at most so many classes the stability of labelings is measured, up to twice as many.
_CURVE = 20


def embedded(lab: Laboratory, known: attributes.Attributes) -> Laboratory:
    """Return a laboratory of the images that are looked at, with features of the backbone."""
    whole = lab.dataset
    assert whole.labels is not None
    rows = known.rows(len(whole))
    labels = [whole.classes[c] for c in whole.labels[rows]]
    images = np.ascontiguousarray(whole.images[rows])
    data = td.embed(
        td.load(images, labels=labels), backbone=BACKBONE, threads=lab.threads, callbacks=()
    )
    return replace(lab, dataset=data)


def run(lab: Laboratory, learner: str) -> Row:
    """Find tasks in every way, from every seed, and set them beside the attributes."""
    known = attributes.of(lab.dataset)
    lab = embedded(lab, known)
    masks = known.masks(lab.dataset)
    rows: list[Row] = []
    judged: dict[str, dict[int, Judged]] = {}
    clustered: list[Row] = []
    for seed in SEEDS:
        setting = ways.Setting(lab=lab, tasks=TASKS, seed=seed)
        names = [w for w in ways.WAYS if w != ways.ON_PIXELS or seed < lab.pixels]
        outcomes = list(ways.found(setting, names))
        agreement = _agreement(setting, outcomes)
        for own in outcomes:
            row, sides = _row(setting, own, masks)
            rows.append({**row, "agreement": agreement.get(own.way)})
            if sides is not None:
                judged.setdefault(own.way, {})[seed] = sides
        clustered += clusterings(setting, outcomes)
    return {
        "learner": known.name,
        "backbone": BACKBONE,
        "images": len(lab.dataset),
        "attributes": len(masks),
        "distinct_attributes": len(meaning.distinct(list(masks), masks)),
        "wanted": TASKS,
        "seeds": list(SEEDS),
        "ways": _means(rows),
        "differences": _differences(judged, ways.PURSUIT),
        "differences_of_lower_cap": _differences(judged, ways.LOWER_CAP),
        "clusterings": clustered,
        "rows": rows,
    }


def clusterings(setting: ways.Setting, outcomes: list[ways.Outcome]) -> list[Row]:
    """Return the accuracy of labelings of as many classes as people named, after renaming.

    TURTLE's, that of k-means, and one of the package. The renaming is the best on the images that
    discovery may see, and kept on the others.
    """
    truth_N, seen_N = setting.lab.dataset.labels, setting.seen_N
    assert truth_N is not None
    K = setting.table.classes
    found = {"k-means": clusters.labels(setting.table.reduced_NR, seen_N, K, setting.seed)}
    for own in outcomes:
        if own.numbers.get("classes") == K:
            found["TURTLE"] = own.labels_ND.argmax(axis=1)
    rows: list[Row] = []
    try:
        found["pursuit"], proposed = _several(setting, K)
        rows += proposed
    except (td.ConfigError, td.NumericalError) as error:
        rows.append({"way": "pursuit", "seed": setting.seed, "why": error.what})
    for way, labels_N in found.items():
        value = meaning.renamed_accuracy(labels_N, truth_N, seen_N)
        rows.append({"way": way, "seed": setting.seed, "classes": K, "accuracy": round(value, 4)})
    return rows


def _several(setting: ways.Setting, classes: int) -> tuple[IntArray, list[Row]]:
    """Search for one labeling of so many classes by pursuit.

    Returns:
        (N,) its classes, and what number of classes stability proposes, where it is measured.
    """
    options: Row = {"curve": (2.0, 2.0 * classes)} if classes <= _CURVE else {}
    known = {field.name for field in fields(td.Pursuit)}
    method = td.Pursuit(**{name: value for name, value in options.items() if name in known})
    found = td.discover(
        setting.lab.dataset,
        method=method,
        classes=classes,
        tasks=1,
        seed=setting.seed,
        threads=setting.lab.threads,
        callbacks=(),
    )
    labels_N = found.tasks.labels_ND[:, 0]
    if "curve" not in found.numbers:
        return labels_N, []
    curve = found.numbers["curve"]
    proposed = {"way": "pursuit proposes", "seed": setting.seed, "proposed": curve["classes"]}
    return labels_N, [{**proposed, "curve": curve}]


def _row(
    setting: ways.Setting, own: ways.Outcome, masks: dict[str, BoolArray]
) -> tuple[Row, Judged | None]:
    """Return what is recorded of the tasks of a way, and how they are judged."""
    row: Row = {"way": own.way, "seed": setting.seed, "tasks": own.labels_ND.shape[1]}
    row |= {"seconds": own.seconds, **own.numbers}
    if own.why:
        return {**row, "why": own.why}, None
    sides = meaning.judge(own.labels_ND, masks, setting.seen_N)
    control = meaning.shuffled(masks, setting.seed)
    chance_D = meaning.judge(own.labels_ND, control, setting.seen_N).ba_D
    explained_D = meaning.explained(own.labels_ND, setting.statistics_NS, setting.seen_N)
    reached = meaning.distinct(sides.reached, masks)
    covered = meaning.distinct(sides.covered, masks)
    tasks = {str(d): own.labels_ND[:, d] for d in range(own.labels_ND.shape[1])}
    return {
        **row,
        "distinct": len(meaning.distinct(list(tasks), tasks)),
        "ba": round(float(sides.ba_D.mean()), 4),
        "ba_of_tasks": [round(float(v), 4) for v in sides.ba_D],
        "attribute_of_tasks": list(sides.chosen),
        "reached": len(reached),
        "reached_attributes": reached,
        "covered": len(covered),
        "covered_attributes": covered,
        "shuffled_ba": round(float(chance_D.mean()), 4),
        "explained_by_statistics": round(float(explained_D.mean()), 4),
    }, sides


def _agreement(setting: ways.Setting, outcomes: list[ways.Outcome]) -> dict[str, float]:
    """Return the mean AS of ridges on disjoint halves of the features, by way.

    Tasks of image statistics are scored by ridges on these.
    """
    found = {}
    for data, chosen in (
        (setting.lab.dataset, [o for o in outcomes if o.way != ways.STATISTICS]),
        (setting.on_statistics, [o for o in outcomes if o.way == ways.STATISTICS]),
    ):
        tasks = {
            f"{own.way}: {d}": own.labels_ND[:, d].astype(np.int64)
            for own in chosen
            for d in range(own.labels_ND.shape[1])
            if 0 < own.labels_ND[setting.seen_N, d].mean() < 1
        }
        if not tasks:
            continue
        scores = td.score(
            data,
            tasks,
            learner="ridge",
            seed=setting.seed,
            threads=setting.lab.threads,
            callbacks=(),
        )
        for own in chosen:
            values = [s.agreement for s in scores if s.task.startswith(f"{own.way}: ")]
            if values:
                found[own.way] = round(float(np.mean(values)), 4)
    return found


#: what is averaged over seeds.
_KEPT = (
    *("tasks", "distinct", "ba", "reached", "covered", "agreement", "shuffled_ba"),
    *("explained_by_statistics", "steps"),
)


def _means(rows: list[Row]) -> list[Row]:
    """Return the means over seeds, a row for each way, in their order."""
    result = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        mean: Row = {"way": way, "seeds": len(own)}
        for key in _KEPT:
            values = [row[key] for row in own if row.get(key) is not None]
            if values:
                mean[key] = round(float(np.mean(values)), 4)
        mean["each_seconds"] = round(float(np.mean([row["seconds"] for row in own])), 1)
        if reasons := [row["why"] for row in own if "why" in row]:
            mean["why"] = reasons[0]
        result.append(mean)
    return result


def _differences(judged: dict[str, dict[int, Judged]], way: str) -> dict[str, Row]:
    """Return how far a way's BA lies above each other's, from seeds that gave tasks to both."""
    ours = judged.get(way, {})
    result: dict[str, Row] = {}
    for other, theirs in judged.items():
        seeds = [seed for seed in theirs if seed in ours]
        if other != way and seeds:
            pair = [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]
            result[other] = {**meaning.difference(*pair), "seeds": len(seeds)}
    return result


STUDY = Study(
    run=run,
    tell=features_text.tell,
    minutes=45,
    learners=(BACKBONE,),
    about="pursuit beside its peers on frozen features",
    claims=features_text.STATED,
    judge=features_text.judge,
)
