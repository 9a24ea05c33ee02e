"""What a job is given: tasks of a run, labelings, cuts, read as the user named them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery import data, results
from taskdiscovery.config import DiscoverConfig, JobConfig, ScoreConfig, SplitConfig, from_mapping
from taskdiscovery.data.arrays import digests
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.rundir import RunDir
from taskdiscovery.types import BoolArray, Dataset, Target, Tasks

if TYPE_CHECKING:
    from taskdiscovery.discovery import Encoder
    from taskdiscovery.splits import Cut

Data = str | Dataset


def read_data(source: Data, config: JobConfig) -> Dataset:
    """Read DATA with the options of a job."""
    if isinstance(source, Dataset):
        return source
    return data.load(source, size=config.size, skip_bad=config.skip_bad)


def label(run: Path | str, source: Data, *, device: str = "cpu", **options: Any) -> Tasks:
    """Label other images with the tasks of a run.

    Args:
        run: a run directory of `discover`.
        source: DATA specification or a data set.
        device: where to compute.
        **options: of `JobConfig`: size, skip_bad; `learner`, to say that the run's own factory
            is trusted.

    Returns:
        The tasks of these images; an image's label does not depend on the others.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        DataError: for images of another shape.
    """
    config = from_mapping(JobConfig, options, "label")
    opened = RunDir.open(Path(run))
    dataset = read_data(source, config)
    encoder = encoder_of(opened, config.learner)
    coordinates = encoder.coordinates(dataset.images, device)
    return Tasks(
        labels=encoder.labels(coordinates),
        names=encoder.names,
        ids=dataset.ids,
        k=(encoder.classes,) * len(encoder.names),
        coordinates=coordinates,
        images=dataset.images,
    )


def load_tasks(run: Path | str, dataset: Dataset, learner: str = "") -> Tasks:
    """Read the tasks of a run for a data set.

    On the data that it was discovered on they come from `tasks.parquet`, with its partition.
    Other data is labelled by the encoder; images that discovery saw, known by their content, are
    counted as `train` wherever they turn up.

    Raises:
        RunDirError: where the run or one of its files cannot be used.
    """
    opened = RunDir.open(Path(run))
    known = opened.result().get("data", {}).get("fingerprint")
    if known == dataset.fingerprint and known:
        return results.stored_tasks(opened, dataset)
    tasks = label(run, dataset, learner=learner or "convnet")
    from taskdiscovery import partition

    seen = np.isin(digests(dataset.images), results.seen_images(opened))
    train = partition.draw(len(dataset), int(opened.config().get("seed", 0))) | seen
    return Tasks(
        labels=tasks.labels,
        names=tasks.names,
        ids=tasks.ids,
        k=tasks.k,
        coordinates=tasks.coordinates,
        train=train,
        images=dataset.images,
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Labelings:
    """What is to be scored, and who may be trained on."""

    targets: list[Target]
    train: BoolArray | None
    references: bool


def target_of(dataset: Dataset, spec: str) -> Target:
    """Read a target SPEC, which may be FILE:COLUMN."""
    if spec.partition(":")[0] in ("label", "attr"):
        return dataset.target(spec)
    if ":" not in spec:
        return dataset.target(spec)
    path, column = data.split_file_column(spec)
    return data.read_labelings(path, dataset, [column])[0]


def labelings_of(dataset: Dataset, config: ScoreConfig, given: Target | Tasks | None) -> Labelings:
    """Find what is to be scored: what is given, else what the config names.

    Raises:
        ConfigError, DataError, RunDirError: where it cannot be found or read.
    """
    from taskdiscovery.scoring import as_targets

    if isinstance(given, Tasks):
        return Labelings(targets=as_targets(given), train=given.train, references=True)
    if given is not None:
        return Labelings(targets=[given], train=None, references=False)
    if config.target:
        return Labelings(targets=[target_of(dataset, config.target)], train=None, references=False)
    if not config.source:
        raise ConfigError(
            "nothing to score is named", where="score", mend="give --target SPEC or --from RUN|FILE"
        )
    run_path, task = split_run_task(config.source)
    if run_path is not None:
        tasks = load_tasks(run_path, dataset, config.learner)
        targets = as_targets(tasks)
        if task:
            targets = [_named(targets, task, lambda t: t.name)]
        return Labelings(targets=targets, train=tasks.train, references=True)
    path, columns = Path(config.source), None
    if not path.exists() and ":" in config.source:
        path, column = data.split_file_column(config.source)
        columns = [column]
    return Labelings(
        targets=data.read_labelings(path, dataset, columns), train=None, references=True
    )


def cuts_of(
    dataset: Dataset, config: SplitConfig, run_path: Path | None, task: str
) -> tuple[list[Cut], BoolArray | None]:
    """Return the tasks that may cut the data, and the partition that goes with them."""
    from taskdiscovery import partition
    from taskdiscovery.splits import Cut, untrained_cut
    from taskdiscovery.stage import Stage

    if run_path is not None:
        tasks = load_tasks(run_path, dataset, config.learner)
        if set(tasks.k) != {2}:
            raise ConfigError(
                "only binary tasks can cut a data set",
                where=f"--from {config.source}",
                mend="discover with --classes 2",
            )
        cuts = [
            Cut(
                name=name,
                place=tasks.labels[:, d],
                coordinate=None
                if tasks.coordinates is None
                else tasks.coordinates[:, d].astype(np.float64),
            )
            for d, name in enumerate(tasks.names)
        ]
        return ([_named(cuts, task, lambda c: c.name)] if task else cuts), tasks.train
    if config.source.startswith("untrained:"):
        train = partition.draw(len(dataset), config.seed)
        stage = Stage.prepare(dataset, config, np.flatnonzero(train))
        network = config.source.removeprefix("untrained:")
        return [untrained_cut(dataset, network, stage, config, train)], train
    path, column = data.split_file_column(config.source)
    target = data.read_labelings(path, dataset, [column])[0]
    if target.k != 2 or not target.known.all():
        raise DataError(
            f"{column} has {target.k} classes and {int((~target.known).sum())} missing values",
            where=str(path),
            mend="a split is cut along a binary task that labels every image",
        )
    return [Cut(name=column, place=target.labels)], None


def _named(items: list[Any], name: str, key: Callable[[Any], str]) -> Any:
    for item in items:
        if key(item) == name:
            return item
    raise ConfigError(
        f"the run has no task {name!r}", where="--from", mend=nearest(name, map(key, items))
    )


def split_run_task(text: str) -> tuple[Path | None, str]:
    """Read RUN or RUN:TASK; (None, "") where it is no run directory."""
    if text and Path(text).is_dir():
        return Path(text), ""
    run, colon, task = text.rpartition(":")
    if colon and run and Path(run).is_dir():
        return Path(run), task
    return None, ""


def warm_encoder(config: DiscoverConfig, dataset: Dataset) -> Encoder:
    """Open the encoder that `discover --warm-start RUN` begins with.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        ConfigError: where it is for other images or another number of classes.
    """
    encoder = encoder_of(RunDir.open(Path(config.warm_start)), config.encoder or config.learner)
    if encoder.image_shape != dataset.image_shape or encoder.classes != config.classes:
        raise ConfigError(
            f"the run's tasks have {encoder.classes} classes, on images of {encoder.image_shape}; "
            f"here {config.classes} and {dataset.image_shape} are asked for",
            where="--warm-start",
            mend="give a run on images of this size, with as many --classes",
        )
    return encoder


def encoder_of(run: RunDir, learner: str) -> Encoder:
    """Open the encoder of a run.

    Raises:
        RunDirError: where it is missing or damaged, or needs code that the user did not name.
    """
    from taskdiscovery.discovery import Encoder

    return Encoder.load(run.checked("encoder.safetensors"), trusted_factory=learner)
