"""`estimate`: the accuracy of a learner on images that nobody has labelled.

Axes: N images of DATA, m of them held out to calibrate, n images of DATA2, K runs, C classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import (
    OF_DATA,
    DataConfig,
    EstimateConfig,
    LabelConfig,
    Network,
    is_convex,
)
from taskdiscovery.data import partition, target_of
from taskdiscovery.data.images.contents import digests, hash_images
from taskdiscovery.data.joining import IN_MEMORY
from taskdiscovery.data.labels.targets import check_classes, is_target_spec
from taskdiscovery.errors import ConfigError, DataError, RunDirError, TaskDiscoveryError
from taskdiscovery.features import is_alone, is_backbone
from taskdiscovery.jobs.inputs import (
    labelled_by,
    named_networks,
    read_alike,
    read_data,
    reading_of,
    tasks_of_discovery,
    tasks_of_run,
)
from taskdiscovery.jobs.looking import features_of
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import Job, session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.jobs.specs import split_run_task, task_names
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.store import Run
from taskdiscovery.store.layout import TASKS
from taskdiscovery.types import (
    Dataset,
    Document,
    Estimate,
    FloatArray,
    IntArray,
    Labeling,
    Record,
    Tasks,
)

if TYPE_CHECKING:
    from taskdiscovery.estimation.case import Case
    from taskdiscovery.training.fitted import Fitted

#: stated coverage of estimates, and of the range, whose intervals hold all at once.
LEVEL, RANGE_LEVEL = 0.9, 0.95
#: images of which a network is asked at once.
_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Given:
    """What the caller hands over, in place of what the config names; None for the config's.

    Attributes:
        target: the labeling: anything that `data.target_of` takes.
        tasks: a run, its path, RUN:TASK, or what `discover` returned.
        on: the unlabelled images: anything that `load` takes.
    """

    target: Any = None
    tasks: Any = None
    on: Any = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """Who is trained on, who calibrates, and who is asked about.

    Attributes:
        here, there: DATA and DATA2.
        labeling: of DATA.
        fit, held: (…,) and (m,) rows of DATA; no group has images in both.
        rows: (n,) rows of DATA2, none of which DATA has in `fit` or `held`.
        tasks: discovered tasks of both, and which of them count; None where none are given.
    """

    here: Dataset
    there: Dataset
    labeling: Labeling
    fit: IntArray
    held: IntArray
    rows: IntArray
    tasks: tuple[Tasks, Tasks, tuple[str, ...]] | None


def run(
    data: Any, given: Given, config: EstimateConfig, sink: Sink, callbacks: Callbacks
) -> Estimate:
    """Do the job.

    Args:
        data: anything that `load` takes.
        given: what the caller hands over as objects.
        config: as given; how the images of the run of `tasks` were read is taken over.
        sink: where the job writes.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    tasks = given.tasks if given.tasks is not None else config.tasks or None
    on = given.on if given.on is not None else config.on or None
    _check_given(given, config, tasks, on)
    config = with_parts(read_alike(config, reading_of(tasks)), tasks, data)
    parts = _parts(data, Given(target=given.target, tasks=tasks, on=on), config, callbacks)
    from taskdiscovery.estimation.intervals import check_calibration

    check_calibration(parts.labeling.labels_N[parts.held], parts.labeling.classes, LEVEL)
    from taskdiscovery.executors import resolve_training

    runs = 1 if is_convex(config.learner) else config.runs  # two of one optimum are the same
    config = replace(config.filled(), executor="serial", jobs=None, runs=runs)
    outputs = {config.learner: {parts.labeling.k}}
    config = resolve_training(config, parts.here, runs, outputs)
    held = [] if given.target is None else [parts.labeling]
    if parts.tasks is not None and not isinstance(tasks, str | Path | Run):
        held += list(parts.tasks[0])
    with session(sink, parts.here, config, callbacks, held) as job:
        found = _found(parts, _answers(parts, config, job), config, job)
        if job.run is not None:
            job.run.write_estimate(found)
    return found


def _check_given(given: Given, config: EstimateConfig, tasks: Any, on: Any) -> None:
    """Refuse what cannot be estimated, before anything is read.

    Raises:
        ConfigError: saying what is missing.
        RunDirError: for a run that holds no tasks.
    """
    if given.target is None and not config.target:
        raise ConfigError(
            "estimate needs a target",
            where="estimate",
            hint="give --target label, label:A,B, attr:COLUMN or FILE:COLUMN",
        )
    if on is None:
        raise ConfigError(
            "no images are given to estimate the accuracy on",
            where="estimate",
            hint="give --on DATA2; in Python on=…",
        )
    if isinstance(on, str) and on in IN_MEMORY:
        raise ConfigError(
            "these images were held in memory, and cannot be read again",
            where="--on",
            hint="give them again, in Python: resume(run, other=…)",
        )
    if isinstance(tasks, str | Path):
        path, _ = split_run_task(str(tasks))
        if path is None:
            raise ConfigError(
                f"no run is called {str(tasks)!r}",
                where="--from",
                hint="give the --out of a run of discover",
            )
        if not Run.open(path).has(TASKS):
            raise RunDirError(
                "the run has no tasks", where=str(path), hint="give a finished run of discover"
            )


def _parts(data: Any, given: Given, config: EstimateConfig, callbacks: Callbacks) -> Parts:
    """Read both data sets, and say who is trained on, who calibrates, and who is asked about."""
    found, wanted = _of_run(given.tasks)
    own = config.features or ("" if found is None else features_of(found, data))
    here = read_data(data, replace(config, features=own), callbacks)
    there = read_data(given.on, _reading(config, own, here, given.on), callbacks)
    _check_both(config, here, there)
    target = config.target if given.target is None else given.target
    labeling = check_classes(target_of(here, target))
    fit, held = _held_out(here, labeling, config)
    known = digests(here.content[np.concatenate([fit, held])])
    seen_N = partition.whole(np.isin(digests(there.content), known), there.groups)
    if seen_N.all():
        raise DataError(
            f"all {len(there)} images are among those that are trained on or calibrate",
            where=there.name,
            hint="give other images",
        )
    networks = named_networks(config.learner, config.objects)
    tasks = None if found is None else _tasks(found, wanted, (here, there), networks)
    return Parts(
        here=here,
        there=there,
        labeling=labeling,
        fit=fit,
        held=held,
        rows=np.flatnonzero(~seen_N),
        tasks=tasks,
    )


def _of_run(tasks: Any) -> tuple[Any, list[str]]:
    """Return the run, or the discovery, and the tasks of it that are named; none for all."""
    if not isinstance(tasks, str | Path):
        return tasks, []
    path, names = split_run_task(str(tasks))
    assert path is not None
    return Run.open(path), task_names(names)


def _reading(config: EstimateConfig, own: str, here: Dataset, on: Any) -> LabelConfig:
    """Return how DATA2 is read: as DATA was, with the features of the same network."""
    theirs = config.other_features
    beside = isinstance(on, Dataset) and on.features is not None
    if not theirs and own:  # a table knows its own rows
        theirs = own if is_backbone(own) else OF_DATA if is_alone(on) or beside else ""
    how: Document = {item.name: getattr(config, item.name) for item in fields(DataConfig)}
    how |= {"features": theirs, "size": here.size, "fit": here.fit, "range": here.range}
    if not here.has_images or config.size is not None:
        how |= {"size": config.size, "fit": config.fit}
    return LabelConfig(**{**how, "groups": ""}, device=config.device)


def _check_both(config: EstimateConfig, here: Dataset, there: Dataset) -> None:
    """Refuse what a learner cannot be trained on here and asked there.

    Raises:
        ConfigError, DataError: saying why.
    """
    if config.on_features:
        if there.features is None:
            raise ConfigError(
                f"the learner {config.learner} looks at features, and the other images have none",
                where="--on",
                hint="add --other-features, or take --learner convnet",
            )
        assert here.features is not None
        if here.features.shape[1] != there.features.shape[1]:
            raise DataError(
                f"{here.features.shape[1]} features here, {there.features.shape[1]} there",
                where=there.name,
                hint="give features of the same network or table",
            )
    elif here.images.shape[1:] != there.images.shape[1:]:
        raise DataError(
            f"images here are {here.image_shape}, there {there.image_shape}",
            where=there.name,
            hint="read both with --size",
        )


def _held_out(
    dataset: Dataset, labeling: Labeling, config: EstimateConfig
) -> tuple[IntArray, IntArray]:
    """Return the rows to train on and those that calibrate; copies of the first are in neither.

    Raises:
        DataError: where groups are too few.
    """
    config = config.filled()
    known = np.flatnonzero(labeling.known_N)
    if dataset.train_N is not None:
        held = known[~dataset.train_N[known]]
    else:
        rng = generator(config.seed, "estimate", "held out")
        if dataset.groups is None:
            held = np.sort(rng.permutation(known)[: round(config.held_out * len(known))])
        else:
            held = partition.apart(known, config.held_out, rng, dataset.groups)
    fit = np.setdiff1d(known, held)
    fit = partition.sample(fit, config.train_images, config.seed, "fit")
    copies = np.isin(digests(dataset.content[held]), digests(dataset.content[fit]))
    held = partition.sample(held[~copies], config.test_images, config.seed, "held out")
    if len(np.unique(labeling.labels_N[fit])) < 2:
        raise DataError(
            f"the {len(fit)} images to train on are of one class, or none",
            where=labeling.name,
            hint="give images of at least two classes to train on",
        )
    return fit, held


def _tasks(
    found: Any, wanted: list[str], both: tuple[Dataset, Dataset], networks: Mapping[str, Network]
) -> tuple[Tasks, Tasks, tuple[str, ...]]:
    """Label both data sets by the tasks of a run or of a discovery."""
    here, there = both
    if isinstance(found, Run):
        tasks = tasks_of_run(found, here, networks)
    else:
        tasks = tasks_of_discovery(found, here)
    elsewhere = labelled_by(found, there, networks, "cpu")
    names = tuple(tasks[name].name for name in wanted) or tasks.names
    return tasks, elsewhere, names


def _answers(parts: Parts, config: EstimateConfig, job: Job) -> tuple[FloatArray, FloatArray]:
    """Train, and ask every run.

    Returns:
        Probabilities (K, m, C) of the calibration images, and (K, n, C) of the unlabelled ones.

    Raises:
        NumericalError: where training diverges.
        RunDirError: where the unlabelled images have changed since the job was started.
    """
    from taskdiscovery.executors import workbench
    from taskdiscovery.splits.measure import run_seeds
    from taskdiscovery.training.members import kept

    other, answers = _digest(parts.there), []
    fit, labeling, learner = parts.fit, parts.labeling, config.learner_of()
    with workbench(parts.here, config, learner, fit, job.journal, job.callbacks) as bench:
        passes = config.recipe.epochs * len(fit) * config.runs
        with job.callbacks.stage(f"training {config.learner}", passes) as meter:
            for k in range(config.runs):
                key = f"estimate run {k}"
                known = job.journal.get(key)
                if known is None:
                    training = bench.training(labeling, fit, fit[:1], run_seeds(config, k))
                    fitted = _fitted(
                        parts, config, bench.shape, kept(training, bench.images, meter)
                    )
                    known = Record(
                        values={"on": other},
                        arrays={
                            "calibration": _asked(fitted, parts.here, parts.held),
                            "unlabelled": _asked(fitted, parts.there, parts.rows),
                        },
                    )
                    job.journal.put(key, known)
                if known.values["on"] != other:
                    raise RunDirError(
                        "the images of --on have changed since the job was started",
                        where=parts.there.name,
                        hint="restore them, or begin again with another --out",
                    )
                answers.append(known.arrays)
    return (
        np.stack([own["calibration"] for own in answers]),
        np.stack([own["unlabelled"] for own in answers]),
    )


def _digest(there: Dataset) -> str:
    """Return what DATA2 is known by, when the job goes on; its labels do not count."""
    digest = hashlib.sha256(hash_images(there.content).encode())
    if there.features is not None:
        digest.update(hash_images(there.features).encode())
    return digest.hexdigest()


def _fitted(parts: Parts, config: EstimateConfig, shape: tuple[int, int, int], own: Any) -> Fitted:
    """Wrap one run as `fit` keeps it: it knows what it can be asked about."""
    from taskdiscovery.training.fitted import Fitted

    return Fitted(
        target=parts.labeling.name,
        classes=parts.labeling.classes,
        learner=config.learner,
        members=(own,),
        shape=shape,
        features=config.features if config.on_features else "",
        backbone=parts.here.backbone if config.on_features else None,
        trained_on=np.empty(0, dtype=np.uint64),
    )


def _asked(fitted: Fitted, dataset: Dataset, rows: IntArray) -> FloatArray:
    """Return (…, C) probabilities of one run; images may be more than memory holds."""
    blocks = [rows[i : i + _AT_ONCE] for i in range(0, len(rows), _AT_ONCE)]
    return np.concatenate([fitted.probabilities(dataset, some)[0] for some in blocks])


def _found(
    parts: Parts, answers: tuple[FloatArray, FloatArray], config: EstimateConfig, job: Job
) -> Estimate:
    """Ask every estimator, the bound and the range; then, after all, look at labels of DATA2."""
    from taskdiscovery.estimation.case import Case
    from taskdiscovery.estimation.estimators import held_out
    from taskdiscovery.estimation.limits import bound
    from taskdiscovery.estimation.recommending import WHY, recommended

    case = Case.of(answers[0], parts.labeling.labels_N[parts.held], answers[1])
    groups = _groups(parts)
    name = recommended(case.K)
    with job.callbacks.stage("estimating", 2) as meter:
        estimators = _estimators(case, name, groups, config.seed)
        meter.advance()
        per_class = _per_class(case, name, parts.labeling.classes, groups, config.seed)
        meter.advance()
    import pandas as pd

    return Estimate(
        data=parts.here.name,
        on=parts.there.name,
        target=parts.labeling.name,
        learner=config.learner,
        runs=case.K,
        images=len(parts.rows),
        calibration=len(parts.held),
        trained=len(parts.fit),
        seen=len(parts.there) - len(parts.rows),
        grouped=groups is not None,
        held_out=held_out(case),
        recommended=name,
        why=WHY,
        bound=bound(case) if case.K > 1 else None,
        estimators=pd.DataFrame(estimators),
        per_class=pd.DataFrame(per_class),
        range=_range(case, parts),
        truth=_truth(parts, config, case),
        config=job.document,
    )


Groups = tuple[IntArray, IntArray] | None


def _groups(parts: Parts) -> Groups:
    """Return what is drawn as one in the intervals, here and there; None where all are alone."""
    codes = [
        partition.draws(dataset.groups, rows)
        for dataset, rows in ((parts.here, parts.held), (parts.there, parts.rows))
    ]
    if codes[0] is None and codes[1] is None:
        return None
    here, there = (
        np.arange(len(rows)) if own is None else own
        for own, rows in zip(codes, (parts.held, parts.rows), strict=True)
    )
    return here, there


def _estimators(case: Case, name: str, groups: Groups, seed: int) -> list[Document]:
    """Return a row for each estimator; one that needs more runs is refused."""
    from taskdiscovery.estimation.estimators import ESTIMATORS
    from taskdiscovery.estimation.intervals import bootstrap

    found = bootstrap(case, ESTIMATORS, LEVEL, seed=seed, groups=groups)
    rows: list[Document] = []
    for key, own in ESTIMATORS.items():
        told = found.get(key)
        rows.append(
            {
                "estimator": key,
                "accuracy": None if told is None else told.value,
                "low": None if told is None else told.low,
                "high": None if told is None else told.high,
                "level": LEVEL,
                "covers": "" if told is None else told.covers,
                "recommended": key == name,
                "refused": "" if told is not None else f"needs {own.runs} runs",
                "words": own.words,
                "source": own.source,
            }
        )
    return rows


def _per_class(
    case: Case, name: str, classes: tuple[str, ...], groups: Groups, seed: int
) -> list[Document]:
    """Return a row for each class of the images that the runs together take for it.

    A class that too few calibration images are taken for is refused.
    """
    from taskdiscovery.estimation.byclass import group
    from taskdiscovery.estimation.estimators import ESTIMATORS
    from taskdiscovery.estimation.intervals import HALF_WIDTH_OF_CLASS, bootstrap, least_images
    from taskdiscovery.estimation.limits import bound

    least, rows = least_images(HALF_WIDTH_OF_CLASS, LEVEL), []
    for c, label in enumerate(classes):
        mine_m, mine_n = case.calibration.together_N == c, case.unlabelled.together_N == c
        m, n = int(mine_m.sum()), int(mine_n.sum())
        own: Document = {"class": label, "images": n, "calibration": m}
        own |= dict.fromkeys(("accuracy", "low", "high"), None)
        own |= {"level": LEVEL, "covers": "", "bound": None, "refused": ""}
        if not n:
            own["refused"] = "no image is taken for it"
        elif m < least:
            own["refused"] = f"{m} held-out images are taken for it, {least} are needed"
        else:
            part = group(case, c)
            codes = None if groups is None else (groups[0][mine_m], groups[1][mine_n])
            told = bootstrap(part, {name: ESTIMATORS[name]}, LEVEL, seed=seed, groups=codes)[name]
            own |= {"accuracy": told.value, "low": told.low, "high": told.high}
            own |= {"covers": told.covers, "bound": bound(part) if case.K > 1 else None}
        rows.append(own)
    return rows


def _range(case: Case, parts: Parts) -> Document | None:
    """Return the range over the tasks, or None where there are none, or none goes with labels."""
    if parts.tasks is None:
        return None
    from taskdiscovery.estimation.range import Sides, accuracy_range

    here, there, names = parts.tasks
    sides = [
        Sides(
            name=name,
            calibration_m=here[name].labels_N[parts.held],
            unlabelled_n=there[name].labels_N[parts.rows],
        )
        for name in names
    ]
    found = accuracy_range(case, sides, RANGE_LEVEL)
    if found is None:
        return None
    return {**vars(found), "level": RANGE_LEVEL, "tasks": [dict(vars(row)) for row in found.tasks]}


def _truth(parts: Parts, config: EstimateConfig, case: Case) -> Document | None:
    """Return the accuracy by labels that DATA2 has; classes are matched by name.

    None where it has none, or where the target is no SPEC: rows of a table are not matched twice.
    """
    if not config.target or not is_target_spec(config.target):
        return None
    try:
        given = target_of(parts.there, config.target)
    except TaskDiscoveryError:  # it has no such labels: nothing is said
        return None
    places = {name: c for c, name in enumerate(parts.labeling.classes)}
    number = np.array([*(places.get(name, -1) for name in given.classes), -1], dtype=np.int64)
    labels_n = number[given.labels_N[parts.rows]]
    known_n = labels_n >= 0
    if not known_n.any():
        return None
    right_Kn = case.unlabelled.predicted_KN[:, known_n] == labels_n[known_n]
    return {
        "accuracy": float(right_Kn.mean()),
        "images": int(known_n.sum()),
        "unknown": int((~known_n).sum()),
    }
