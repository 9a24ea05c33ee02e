"""What an audit takes from a discovery: its tasks that are present in labels, and where they moved.

Axes: N images, n images that discovery has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from taskdiscovery.config import CompareConfig, SplitConfig, TrainingConfig
from taskdiscovery.config.audit import AuditConfig
from taskdiscovery.data import partition
from taskdiscovery.errors import DataError, NumericalError
from taskdiscovery.jobs import compare as compare_job
from taskdiscovery.jobs.inputs import choose, named_networks
from taskdiscovery.jobs.specs import split_run_task
from taskdiscovery.jobs.split import verdicts_of
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import BoolArray, Dataset, Document, IntArray, Labeling

if TYPE_CHECKING:
    import pandas as pd

    from taskdiscovery.splits.judging import Question

C = TypeVar("C", bound=TrainingConfig)

COLUMNS = (
    *("target", "task", "class", "about", "auc", "low", "high", "present"),
    *("cut", "split_accuracy", "split_low", "split_high", "split_images"),
    *("random_accuracy", "random_low", "random_high"),
)
#: tasks of each target whose splits are measured, runs of each, and the fewest images to measure.
SPLITS, RUNS, IMAGES = 2, 2, 30
#: the AUC from which a task is the class itself, and no way to cut it.
SAME = 0.995


def tasks_present(
    dataset: Dataset,
    labelings: Sequence[Labeling],
    tasks: Any,
    config: AuditConfig,
    journal: Journal,
    callbacks: Callbacks,
) -> pd.DataFrame:
    """Say which discovered tasks are present in labels, and what a learner loses to them.

    Args:
        dataset: the images.
        labelings: of its images.
        tasks: as `inputs.choose` takes them.
        config: as given or resolved; its learner is trained.
        journal: remembers each training.
        callbacks: told of progress.

    Returns:
        A row per target and task, the most present first: `class`, the class that the task tells
        best; `about`, what the evidence of its run says of the task; `auc` of the task for that
        class, 0.5 to 1, with a 95 % interval, on images that discovery has not seen; `present`,
        whether it is clear and not small, as `analyze` decides for "leans on". For at most two
        tasks of a target that are present and not the class itself, `split_accuracy`: a learner of
        that class against the rest, trained where the task goes with it and asked where it does
        not; `random_accuracy` of a random split of the same size and class counts; with intervals,
        and how many images were asked. `cut` is `sign`, or `within classes` where that leaves too
        few images: the coordinate is then cut at its median in either class.

    Raises:
        ConfigError, DataError, RunDirError: where tasks cannot be found or read.
    """
    import pandas as pd

    chosen = choose(dataset, tasks, named_networks(config.learner, config.objects))
    verdicts, seen_N = verdicts_of(tasks), chosen.seen_N
    seen_N = partition.of(dataset, config.seed) if seen_N is None else seen_N
    own = {task.name: task for task in chosen.labelings}
    found = []
    for labeling in labelings:
        rows = _associations(dataset, labeling, own, np.flatnonzero(~seen_N), config.seed)
        wanted = [
            (own[row["task"]], _against_the_rest(labeling, row["class"]))
            for row in rows
            if row["present"] and row["auc"] < SAME
        ]
        splits = _splits(dataset, wanted, seen_N, (config, journal, callbacks))
        found += [
            {**row, "about": verdicts.get(row["task"], ""), **splits.get(row["task"], {})}
            for row in rows
        ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def compared(
    tasks: Any, other: Any, data: Any, config: AuditConfig, callbacks: Callbacks
) -> Document:
    """Say where the rates of tasks have moved on a second data set, as `compare` does.

    Args:
        tasks: a run, its path or RUN:TASK (all tasks are looked at), or what discover returned.
        other: anything that `load` takes: the second data set.
        data: that of the tasks; None where the run says which.
        config: as given.
        callbacks: told of progress.

    Returns:
        `data`, the name of the second one; `by`, what classes were ranked by; `classes_at_risk`;
        `rows`, a document for each class, the one most at risk first.

    Raises:
        TaskDiscoveryError: as `compare`.
    """
    if isinstance(tasks, str):
        path, _ = split_run_task(tasks)
        tasks = tasks if path is None else path
    own = _part(CompareConfig, config)
    networks = named_networks(config.learner, config.objects)
    found = compare_job.run(tasks, other, data, own, callbacks, networks=networks).numbers
    return {
        "data": str(other) if isinstance(other, str | Path) else getattr(other, "name", "array"),
        "by": found["by"],
        "classes_at_risk": found["classes_at_risk"],
        "images_here": found["images_here"],
        "images_there": found["images_there"],
        "rows": found["classes"],
    }


def _part(kind: type[C], config: TrainingConfig, **more: Any) -> C:
    """Return options of another job, with those that they have in common."""
    shared = {item.name: getattr(config, item.name) for item in fields(TrainingConfig)}
    return kind(**{**shared, **more})


def _associations(
    dataset: Dataset, labeling: Labeling, tasks: Mapping[str, Labeling], rows: IntArray, seed: int
) -> list[Document]:
    """Measure every task against the classes; a row for the class that each tells best."""
    from taskdiscovery.analysis.associations import Factor, associate
    from taskdiscovery.analysis.rules import LEANS, RATE
    from taskdiscovery.splits.cuts import coordinate_of

    factors = {}
    for name, task in tasks.items():
        coordinate_N = coordinate_of(task) if task.k == 2 else None
        values_N = np.maximum(task.labels_N, 0) if coordinate_N is None else coordinate_N
        factors[f"task {name}"] = Factor(
            source="attribute",
            values=values_N[rows].astype(np.float64),
            known=task.known_N[rows],
            levels=task.classes if coordinate_N is None else (),
        )
    table = associate(
        {labeling.name: labeling.labels_N[rows]},
        factors,
        seed=seed,
        groups=None if dataset.groups is None else dataset.groups[rows],
        classes={labeling.name: labeling.classes},
    )
    if table.empty:
        return []
    each = table[table["side"] != ""] if (table["side"] != "").any() else table
    best = each.drop_duplicates("factor")  # the strongest stand first
    return [
        {
            "target": labeling.name,
            "task": row["factor"].removeprefix("task "),
            "class": row["side"] if not row["rest"] or row["auc"] >= 0.5 else row["rest"],
            "auc": (1 + row["effect"]) / 2,
            "low": (1 + row["low"]) / 2,
            "high": (1 + row["high"]) / 2,
            "present": bool(row["q"] <= RATE and row["low"] >= LEANS),
        }
        for row in best.to_dict("records")
    ]


def _against_the_rest(labeling: Labeling, name: str) -> Labeling:
    """Return a labeling of two classes: as it is, or one class against all others."""
    if labeling.k == 2 or name not in labeling.classes:
        return labeling
    c = labeling.classes.index(name)
    labels_N = np.where(labeling.known_N, labeling.labels_N == c, -1).astype(np.int64)
    return replace(labeling, classes=("rest", name), labels_N=labels_N, coordinates_NC=None)


def _splits(
    dataset: Dataset,
    pairs: Sequence[tuple[Labeling, Labeling]],
    seen_N: BoolArray,
    job: tuple[AuditConfig, Journal, Callbacks],
) -> dict[str, Document]:
    """Measure the splits along the first tasks that leave enough images to measure on."""
    from taskdiscovery.executors import resolve_training, workbench
    from taskdiscovery.splits.judging import Question

    pairs = [(task, target) for task, target in pairs if task.k == 2 and task.known_N.all()]
    if not pairs:
        return {}
    given, journal, callbacks = job
    config = _part(SplitConfig, given, controls=("random",), runs=min(RUNS, given.runs))
    outputs = {config.learner: {target.k for _, target in pairs}}
    config = resolve_training(config, dataset, 2 * config.runs, outputs)
    rows, learner = np.flatnonzero(seen_N), config.learner_of()
    found: dict[str, Document] = {}
    with workbench(dataset, config, learner, rows, journal, callbacks) as bench:
        # Cuts at the sign first: they leave few images where task and class are nearly one.
        for balanced, (task, target) in product((False, True), pairs):
            if len(found) == SPLITS:
                break
            if task.name in found or (balanced and task.coordinates_NC is None):
                continue
            question = Question(
                bench=bench, target=target, config=config, seen_N=seen_N, balanced=balanced
            )
            if (measured := _measured(question, task)) is not None:
                found[task.name] = measured
    return found


def _measured(question: Question, task: Labeling) -> Document | None:
    """Train where a task goes with the classes, and ask where it does not; None of few images."""
    from taskdiscovery.splits import controls, measure
    from taskdiscovery.splits.cuts import Candidate, groups_of
    from taskdiscovery.splits.details import Beside

    target, config, seen_N = question.target, question.config, question.seen_N
    group, known_N = groups_of(task, target), target.known_N
    alike = (group[target.labels_N[known_N]] == task.labels_N[known_N]).mean()
    way = "same" if alike >= 0.5 or question.balanced else "opposite"
    candidate = Candidate(task=task, orientation=way, group=group)
    adversarial, groups = question.sides(candidate), question.bench.dataset.groups
    with question.bench.callbacks.stage("making the control", 0) as meter:
        template = controls.Template(question=question, sides=adversarial, meter=meter)
        sides = {"adversarial": adversarial, "random": controls.make("random", template)}
    roles = {
        name: measure.roles_of(own, seen_N, config.seed, groups) for name, own in sides.items()
    }
    try:
        rows = measure.equal_rows(roles, target, seen_N, config)
        if len(rows["adversarial"].test) < IMAGES:
            return None
        cut = replace(task, labels_N=adversarial.task_N)
        beside = Beside(target=target, task=cut, group=group, groups=groups)
        key = f"tasks {target.name} {task.name} {'within' if question.balanced else 'sign'}"
        found = measure.measure(question, rows, beside, key)
    except (DataError, NumericalError):  # the task is the label itself, or nothing is learnt
        return None
    figures: Document = {
        "cut": "within classes" if question.balanced else "sign",
        "split_images": len(rows["adversarial"].test),
    }
    for name, own in (("split", "adversarial"), ("random", "random")):
        interval = found.accuracy[own]
        figures |= {f"{name}_accuracy": interval.mean}
        figures |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
    return figures
