"""Pursuit beside its peers on frozen features: do tasks line up with what people see?

Claimed before the first run, for 16 tasks at |φ| ≤ 0.5 (`CLAIMS`), in the mean of three seeds: a
least BA, a least number of distinct attributes that tasks reach, a least AS; a BA at least 0.06
above that of `power`, and above every peer's with an interval that excludes 0.

Axes: N images, D tasks.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np

import taskdiscovery as td
from experiments import attributes, figures, meaning, ways
from experiments.laboratory import Laboratory
from experiments.markdown import paragraphs, table
from experiments.meaning import Judged
from experiments.peers import clusters
from experiments.records import Row
from experiments.study import Study
from taskdiscovery.types import BoolArray, IntArray

TASKS, SEEDS = 16, (0, 1, 2)
#: by set of attributes: least BA, attributes that are reached, AS.
CLAIMS = {"bar": (0.82, 8, 0.95), "cifar10": (0.80, 8, 0.94), "tiny-imagenet": (0.77, 8, 0.94)}
ABOVE_POWER = 0.06
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
    judged: dict[str, list[Judged]] = {}
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
                judged.setdefault(own.way, []).append(sides)
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
        "differences": _differences(judged),
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
    return {
        **row,
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
    *("tasks", "ba", "reached", "covered", "agreement", "shuffled_ba"),
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


def _differences(judged: dict[str, list[Judged]]) -> dict[str, Row]:
    """Return how far the BA of pursuit lies above each other way's, where both have tasks."""
    ours = judged[ways.PURSUIT]
    return {
        way: meaning.difference(ours[: len(theirs)], theirs)
        for way, theirs in judged.items()
        if way != ways.PURSUIT and len(theirs) <= len(ours)
    }


def tell(results: list[Row], place: Path) -> str:
    """Write for each data set what was claimed, the table of ways, and who wins where we do not."""
    figures.ways(results, place / "features.svg")
    return paragraphs(
        [
            "## Frozen features: tasks that follow what people see",
            f"Features of `{results[0]['backbone']}` at 128 px; {TASKS} tasks are wanted; mean of "
            f"{len(results[0]['seeds'])} seeds. BA: balanced accuracy of a task against the human "
            "attribute it fits best, chosen on images that discovery may see, measured on the "
            "tenth (of the package's own partition) that it may not; 0.5 is chance, and against "
            "attributes of other images (shuffled) it is what is left of the choice. Reached: "
            "distinct attributes (no two with |φ| above 0.8) of tasks with a BA of 0.8; covered: "
            "those to which some task has this BA, whatever else it fits better. AS: ridges on "
            "disjoint halves; they repeat trivial tasks, too. R²: of tasks from image statistics "
            "and their squares, on the same held-out images. Above: pursuit's BA less that of the "
            "way, with a 95 % interval over tasks and held-out images. Seconds: of one core, after "
            "`embed`. The attributes are in "
            "[experiments/attributes](../experiments/attributes), fixed before the first run.",
            *(_set(result) for result in results),
            "![balanced accuracy of tasks by way](figures/features.svg)",
        ]
    )


_HEAD = ["way", "tasks", "BA", "above", "reached", "covered", "AS", "R²", "shuffled", "seconds"]


def summary(results: list[Row]) -> str:
    """Write one table of the main ways for all data sets: BA, attributes, AS."""
    order = [r for name in CLAIMS for r in results if r["learner"] == name]
    names = list(dict.fromkeys(row["way"] for r in order for row in r["ways"]))
    lines = []
    for name in names:
        cells = []
        for result in order:
            own = next((row for row in result["ways"] if row["way"] == name), {})
            if "ba" in own:
                agreement = f"{own['agreement']:.3f}" if "agreement" in own else "–"
                cell = f"{own['ba']:.3f} of {own['tasks']:.1f}; {own['reached']:.1f}; {agreement}"
            else:
                cell = "none found" if own else "–"
            cells.append(cell)
        lines.append([name, *cells])
    return table(["BA of tasks; attributes reached; AS", *(r["learner"] for r in order)], lines)


def _set(result: Row) -> str:
    marked = _MARKED if result["learner"] == "tiny-imagenet" else ""
    return paragraphs(
        [
            f"### {result['learner']}: {result['images']:,} images, {result['attributes']} "
            f"attributes, {result['distinct_attributes']} of them distinct",
            marked,
            table(
                _HEAD,
                [_line(result, own) for own in result["ways"]],
            ),
            verdict(result),
            _clusterings(result),
        ]
    )


def _clusterings(result: Row) -> str:
    """Say how well labelings of as many classes as people named fit these."""
    said = []
    for way in dict.fromkeys(row["way"] for row in result["clusterings"]):
        own = [row for row in result["clusterings"] if row["way"] == way]
        values = [row["accuracy"] for row in own if "accuracy" in row]
        if proposed := [str(row["proposed"]) for row in own if "proposed" in row]:
            said.append(f"stability proposes K = {', '.join(proposed)} (a seed each)")
        elif values:
            spread = f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"
            said.append(f"{way} {spread}")
        else:
            said.append(f"{way} has none ({own[0]['why']})")
    K = next(row["classes"] for row in result["clusterings"] if "classes" in row)
    return (
        f"One labeling of {K} classes, K given; held-out accuracy after the renaming that is best "
        f"on the other images: {'; '.join(said)}."
    )


def _line(result: Row, own: Row) -> list[str]:
    def number(key: str, digits: int = 3) -> str:
        return f"{own[key]:.{digits}f}" if key in own else "–"

    name = own["way"] + (f" ({own['seeds']} seed)" if own["seeds"] == 1 else "")
    if "ba" not in own:
        return [f"{name}: {own['why']}", *["–"] * 9]
    above = result["differences"].get(own["way"])
    cell = (
        "" if above is None else f"{above['mean']:+.3f} [{above['low']:+.3f}, {above['high']:+.3f}]"
    )
    return [
        *(name, number("tasks", 1), number("ba"), cell, number("reached", 1)),
        *(number("covered", 1), number("agreement"), number("explained_by_statistics")),
        *(number("shuffled_ba"), number("each_seconds", 0)),
    ]


def verdict(result: Row) -> str:
    """Say which claims hold, and which way wins where pursuit does not."""
    own = next(row for row in result["ways"] if row["way"] == ways.PURSUIT)
    said = []
    if result["learner"] in CLAIMS:
        ba, count, agreement = CLAIMS[result["learner"]]
        said.append(
            f"Claimed: BA ≥ {ba:.2f} ({_holds(own['ba'] >= ba)}), {count} attributes reached "
            f"({_holds(own['reached'] >= count)}), AS ≥ {agreement:.2f} "
            f"({_holds(own['agreement'] >= agreement)})."
        )
    powers = [w for w in (ways.RIDGE, ways.ON_PIXELS) if w in result["differences"]]
    for way in powers:
        above = result["differences"][way]["mean"]
        said.append(
            f"At least {ABOVE_POWER} above {way}: {_holds(above >= ABOVE_POWER)} ({above:+.3f})."
        )
    others = {w: d for w, d in result["differences"].items() if w not in (*powers, _LOWER_CAP)}
    even = [w for w, d in others.items() if d["low"] <= 0 <= d["high"]]
    better = [w for w, d in others.items() if d["high"] < 0]
    if better:
        said.append(f"Better than pursuit, by BA: {'; '.join(better)}.")
    if even:
        said.append(f"Not told apart from pursuit, by BA: {'; '.join(even)}.")
    if not better and not even:
        said.append("Above every peer, by an interval that excludes 0: holds.")
    return " ".join(said)


_MARKED = (
    "`lite0` was trained with labels of which these classes are a part: claims rest on the others."
)
_LOWER_CAP = "pursuit, |φ| ≤ 0.25"


def _holds(whether: bool) -> str:
    return "holds" if whether else "fails"


STUDY = Study(
    run=run,
    tell=tell,
    minutes=45,
    learners=(BACKBONE,),
    about="pursuit beside its peers on frozen features",
)
