"""Who is trained on, who calibrates and who is asked, for `estimate`; and what the runs answer.

Axes: N images of DATA, m of them held out to calibrate, n images of DATA2, K runs, C classes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config import OF_DATA, DataConfig, EstimateConfig, LabelConfig, Network
from taskdiscovery.data import partition, target_of
from taskdiscovery.data.grouping import ATTRIBUTE, IDS, grouped
from taskdiscovery.data.images.contents import digests, hash_images
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError, DataError, RunDirError
from taskdiscovery.features import is_alone, is_backbone
from taskdiscovery.jobs import shifting
from taskdiscovery.jobs.inputs import (
    encoder_of,
    labelled,
    named_networks,
    read_data,
    tasks_of_discovery,
    tasks_of_run,
)
from taskdiscovery.jobs.looking import features_of
from taskdiscovery.jobs.session import Job
from taskdiscovery.jobs.specs import split_run_task, task_names
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.store import Run
from taskdiscovery.types import (
    Dataset,
    Document,
    Float32,
    FloatArray,
    IntArray,
    Labeling,
    Record,
    Tasks,
)

if TYPE_CHECKING:
    from taskdiscovery.training.fitted import Fitted

_LOG = logging.getLogger("taskdiscovery")

#: images of which a network is asked at once, and bytes that they may have.
_AT_ONCE, _BYTES_AT_ONCE = 20_000, 2**30
#: what a run answers about made shifts where there are none.
_NONE_MADE = np.empty((0, 0, 0), dtype=np.float32)


@dataclass(frozen=True, eq=False, kw_only=True)
class Parts:
    """Who is trained on, who calibrates, and who is asked about.

    Attributes:
        here, there: DATA and DATA2.
        labeling: of DATA.
        fit, held: (…,) and (m,) rows of DATA; no image is in both, and no group but where a
            partition that came with the data has it on both sides.
        rows: (n,) rows of DATA2; none, nor one of its group, is in `fit` or `held`.
        tasks: discovered tasks of both, and which of them count; None where none are given.
    """

    here: Dataset
    there: Dataset
    labeling: Labeling
    fit: IntArray
    held: IntArray
    rows: IntArray
    tasks: tuple[Tasks, Tasks, tuple[str, ...]] | None


def read_parts(
    data: Any, target: Any, tasks: Any, on: Any, config: EstimateConfig, callbacks: Callbacks
) -> Parts:
    """Read both data sets, and say who is trained on, who calibrates, and who is asked about.

    Args:
        data, on: DATA and DATA2, anything that `load` takes.
        target: the labeling, anything that `data.target_of` takes.
        tasks: a run, its path, RUN:TASK, what `discover` returned, or None.
        config: how images are read, and who is held out.
        callbacks: told of progress.

    Raises:
        ConfigError, DataError, RunDirError: where something cannot be read, the learner cannot look
            at both, or no image is left to train on, or to ask about.
    """
    found, wanted = _of_run(tasks)
    own = config.features or ("" if found is None else features_of(found, data))
    here = read_data(data, replace(config, features=own), callbacks)
    there = read_data(on, _reading(config, own, here, on), callbacks)
    there = _grouped_alike(there, here, target)
    _check_both(config, here, there)
    labeling = check_classes(target_of(here, target))
    fit, held = _held_out(here, labeling, config)
    known = digests(here.content[np.concatenate([fit, held])])
    # Where DATA is features alone, those of DATA2 are what its rows are known by, too.
    theirs = there.content if here.has_images or there.features is None else there.features
    seen_N = partition.whole(np.isin(digests(theirs), known), there.groups)
    if seen_N.all():
        raise DataError(
            f"all {len(there)} images are among those that are trained on or calibrate, or of a "
            "group with one",
            where=there.name,
            hint="give other images",
        )
    networks = named_networks(config.learner, config.objects)
    both = None if found is None else _tasks(found, wanted, (here, there), networks)
    return Parts(
        here=here,
        there=there,
        labeling=labeling,
        fit=fit,
        held=held,
        rows=np.flatnonzero(~seen_N),
        tasks=both,
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


def _grouped_alike(there: Dataset, here: Dataset, target: Any) -> Dataset:
    """Return DATA2 with the groups of DATA's column, where it has such a column.

    A column of labels is not looked at. Where DATA2 is one group alone its images are drawn one by
    one: what is asked for is then the accuracy on this group.
    """
    column = here.grouped_by
    if there.groups is not None or here.groups is None:
        return there
    name = column.removeprefix(ATTRIBUTE)
    known = [] if there.attributes is None else list(map(str, there.attributes.columns))
    of_labels = name == "label" or (isinstance(target, str) and target == f"{ATTRIBUTE}{name}")
    if not of_labels and (name in known or column == IDS):
        with contextlib.suppress(DataError):  # one group alone
            return grouped(there, column)
    _LOG.warning("%s has no groups: in intervals each of its images is one draw", there.name)
    return there


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
        if here.backbone and there.backbone and here.backbone != there.backbone:
            raise DataError(
                f"features here are of {here.backbone}, there of {there.backbone}",
                where=there.name,
                hint="give features of the same backbone, size and weights",
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
    """Label both data sets by the tasks of a run or of a discovery.

    Nothing is trained on DATA2, so that it needs no partition, however few images it has.
    """
    here, there = both
    if isinstance(found, Run):
        tasks, encoder = tasks_of_run(found, here, networks), encoder_of(found, networks)
    else:
        tasks, encoder = tasks_of_discovery(found, here), found.encoder
    elsewhere = labelled(encoder, there, seen_N=None)
    names = tuple(tasks[name].name for name in wanted) or tasks.names
    return tasks, elsewhere, names


@dataclass(frozen=True, eq=False, kw_only=True)
class Answers:
    """What K runs answer.

    Attributes:
        calibration_KmC, unlabelled_KnC: probabilities of the calibration images, and of those that
            are asked about.
        made_rows: (r,) rows of DATA that were corrupted; empty where none were.
        made_KDrC: probabilities of these in each of the made domains (`shifting.domains`).
    """

    calibration_KmC: FloatArray
    unlabelled_KnC: FloatArray
    made_rows: IntArray
    made_KDrC: Float32


def answers_of(parts: Parts, config: EstimateConfig, job: Job) -> Answers:
    """Train, and ask every run.

    Raises:
        NumericalError: where training diverges.
        RunDirError: where the unlabelled images, or who of them is asked about, have changed since
            the job was started.
    """
    from taskdiscovery.executors import workbench
    from taskdiscovery.splits.measure import run_seeds
    from taskdiscovery.training import warn_if_brief
    from taskdiscovery.training.members import kept

    other, answers = _digest(parts), []
    fit, labeling, learner = parts.fit, parts.labeling, config.learner_of()
    made = np.empty(0, dtype=np.int64)
    if not shifting.refused(config, parts.here, len(parts.held)):
        made = shifting.rows_to_corrupt(config, parts.here, parts.held, labeling.k)
    shifts = shifting.MadeShifts(parts.here, made, config.seed) if len(made) else None
    warn_if_brief(learner, len(fit), config.preset)
    with workbench(parts.here, config, learner, fit, job.journal, job.callbacks) as bench:
        passes = config.recipe.epochs * len(fit) * config.runs
        passes += len(shifting.domains()) * len(made) * config.runs
        with job.callbacks.stage(f"training {config.learner}", passes) as meter:
            for k in range(config.runs):
                key = f"estimate run {k}"
                known = job.journal.get(key)
                if known is None:
                    training = bench.training(labeling, fit, fit[:1], run_seeds(config, k))
                    own = kept(training, bench.images, meter)
                    arrays = _all_asked(_fitted(parts, config, bench.shape, own), parts)
                    if shifts is not None:
                        arrays["made"] = shifts.asked(own, meter)
                    known = Record(values={"on": other}, arrays=arrays)
                    job.journal.put(key, known)
                if known.values["on"] != other:
                    raise RunDirError(
                        "the images of --on have changed since the job was started",
                        where=parts.there.name,
                        hint="restore them, or begin again with another --out",
                    )
                answers.append(known.arrays)
    return Answers(
        calibration_KmC=np.stack([own["calibration"] for own in answers]),
        unlabelled_KnC=np.stack([own["unlabelled"] for own in answers]),
        made_rows=made,
        made_KDrC=np.stack([own.get("made", _NONE_MADE) for own in answers]),
    )


def _all_asked(fitted: Fitted, parts: Parts) -> dict[str, NDArray[Any]]:
    return {
        "calibration": _asked(fitted, parts.here, parts.held),
        "unlabelled": _asked(fitted, parts.there, parts.rows),
    }


def _digest(parts: Parts) -> str:
    """Return what the images asked about are known by, when the job goes on; no label counts."""
    there = parts.there
    digest = hashlib.sha256(hash_images(there.content).encode())
    if there.features is not None:
        digest.update(hash_images(there.features).encode())
    digest.update(parts.rows.tobytes())  # groups decide, too, who is asked about
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
    one = dataset.images[:1].nbytes if dataset.has_images else 1
    step = max(1, min(_AT_ONCE, _BYTES_AT_ONCE // one))
    blocks = [rows[i : i + step] for i in range(0, len(rows), step)]
    return np.concatenate([fitted.probabilities(dataset, some)[0] for some in blocks])
