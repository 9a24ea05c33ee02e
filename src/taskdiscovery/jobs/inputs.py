"""What a job is given, as objects: data, labelings, tasks to cut along, encoders.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import Network
from taskdiscovery.data import load, partition, read_labelings, split_file_column, target_of
from taskdiscovery.data.arrays import digests
from taskdiscovery.data.loading import runs_code
from taskdiscovery.data.targets import aligned, is_target_spec, labelings_of_frame
from taskdiscovery.errors import ConfigError, DataError, RunDirError
from taskdiscovery.jobs.specs import UNTRAINED, split_run_task
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.types import BoolArray, Dataset, Labeling, Tasks

if TYPE_CHECKING:
    from taskdiscovery.config import ReadConfig
    from taskdiscovery.encoders.encoder import Encoder


def read_data(data: Any, config: ReadConfig, callbacks: Callbacks) -> Dataset:
    """Read DATA, or take what the caller holds, with the options of a job."""
    return load(data, size=config.size, skip_bad=config.skip_bad, callbacks=callbacks.callbacks)


def data_of_run(run: Run, config: Mapping[str, Any]) -> str:
    """Return the DATA that the config of a run or of its job names.

    Raises:
        RunDirError: where it names none, or what would run code that the caller did not name.
    """
    spec = str(config.get("data") or "")
    if not spec or spec in ("array", "torch", "frame", "hf"):
        raise RunDirError(
            "the run names no data that can be read again",
            where=str(run.path),
            hint="give it with --data",
        )
    if runs_code(spec):
        raise RunDirError(
            f"the run's data is {spec!r}, which runs code or downloads",
            where=str(run.path),
            hint=f"if you trust it, say so: --data {spec!r}",
        )
    return spec


@dataclass(frozen=True, eq=False, kw_only=True)
class Chosen:
    """Labelings of a data set, and who may be trained on.

    Attributes:
        labelings: with distinct names.
        seen_N: (N,) True for images that a discovery may have seen; None where nothing was
            discovered.
        discovered: whether tasks were named as such, so that human labels stand beside them.
    """

    labelings: list[Labeling]
    seen_N: BoolArray | None
    discovered: bool


def choose(dataset: Dataset, given: Any, objects: Mapping[str, Network]) -> Chosen:
    """Make labelings of what the caller holds.

    Args:
        dataset: the images.
        given: a target SPEC; RUN[:TASK] or FILE[:COLUMN]; `Tasks`, a `Discovery`, a `Run`, a
            `Labeling`; a Series, a frame (a labeling a column), an array (N,) or (N, D); or a list
            of these.
        objects: networks that the caller has named, by name: runs may need them to label.

    Raises:
        ConfigError, DataError, RunDirError: where it cannot be found or read.
    """
    found = _labelings(dataset, given, objects)
    if not found:
        raise DataError("there is no labeling", where="tasks", hint="give at least one")
    names: dict[str, int] = {}
    distinct = []
    for labeling in found:
        names[labeling.name] = count = names.get(labeling.name, 0) + 1
        name = labeling.name if count == 1 else f"{labeling.name} ({count})"
        distinct.append(replace(labeling, name=name))
    seen = [x.seen_N for x in distinct if x.seen_N is not None]
    return Chosen(
        labelings=distinct,
        seen_N=np.logical_or.reduce(seen) if seen else None,
        discovered=bool(seen) or _names_tasks(given),
    )


def _names_tasks(given: Any) -> bool:
    """Say whether a text names tasks of a run or a table, rather than a labeling of the data."""
    return isinstance(given, Path) or (isinstance(given, str) and not is_target_spec(given))


def _labelings(dataset: Dataset, given: Any, objects: Mapping[str, Network]) -> list[Labeling]:
    if isinstance(given, Run):
        return list(tasks_of_run(given, dataset, objects))
    if hasattr(given, "encoder") and hasattr(given, "tasks"):  # a Discovery
        return list(tasks_of_discovery(given, dataset))
    if isinstance(given, Tasks):
        return [aligned(task, dataset) for task in given]
    if isinstance(given, str | Path):
        return _named(dataset, str(given), objects)
    if hasattr(given, "columns") and hasattr(given, "iloc"):
        return labelings_of_frame(dataset, given)
    if isinstance(given, Labeling) or hasattr(given, "to_numpy"):
        return [target_of(dataset, given, "labels")]
    if isinstance(given, Iterable) and not hasattr(given, "shape") and not _scalars(given):
        return [labeling for one in given for labeling in _labelings(dataset, one, objects)]
    values = np.asarray(given)
    if values.ndim == 2:
        return [target_of(dataset, column, "labels") for column in values.T]
    return [target_of(dataset, values, "labels")]


def _scalars(given: Iterable[Any]) -> bool:
    """Say whether a list holds one value per image, rather than labelings."""
    first = next(iter(given), None)
    return isinstance(first, bool | int | float | np.generic) and np.ndim(first) == 0


def _named(dataset: Dataset, text: str, objects: Mapping[str, Network]) -> list[Labeling]:
    if is_target_spec(text):
        return [target_of(dataset, text)]
    run_path, task = split_run_task(text)
    if run_path is not None:
        tasks = tasks_of_run(Run.open(run_path), dataset, objects)
        return [tasks[task]] if task else list(tasks)
    path, columns = Path(text), None
    if not path.exists() and ":" in text:
        path, column = split_file_column(text)
        columns = [column]
    return read_labelings(path, dataset, columns)


def tasks_of_run(run: Run, dataset: Dataset, objects: Mapping[str, Network]) -> Tasks:
    """Return the tasks of a run for a data set.

    On the data that it was discovered on they come from `tasks.parquet`, with its partition.
    Other data is labelled by the encoder; images that discovery saw, known by their content, are
    counted as seen wherever they turn up.

    Raises:
        RunDirError: where the run or one of its files cannot be used.
    """
    if run.fingerprint and run.fingerprint == dataset.fingerprint:
        return replace(run.tasks, ids_N=dataset.ids, images=dataset.images)
    encoder = encoder_of(run, objects)
    seed = int(run.config.get("seed", 0))
    return labelled(encoder, dataset, seen=run.seen_images(), seed=seed)


def tasks_of_discovery(found: Any, dataset: Dataset) -> Tasks:
    """Return the tasks of a discovery for a data set, as `tasks_of_run` does."""
    tasks: Tasks = found.tasks
    if found.fingerprint == dataset.fingerprint or np.array_equal(tasks.ids_N, dataset.ids):
        return tasks
    if tasks.images is None or tasks.seen_N is None:
        raise DataError(
            "what this discovery has seen is not known",
            where=dataset.name,
            hint="give its run directory, or the data that it was found on",
        )
    seen = digests(tasks.images)[tasks.seen_N]
    return labelled(found.encoder, dataset, seen=seen, seed=int(found.config.get("seed", 0)))


def labelled(
    encoder: Encoder, dataset: Dataset, *, seen: Any = None, seed: int = 0, device: str = "cpu"
) -> Tasks:
    """Label images with an encoder.

    Args:
        encoder: of the tasks.
        dataset: the images.
        seen: digests of the images that discovery has seen, or None where nothing will be measured.
        seed: of the partition of the others.
        device: where to compute.
    """
    coordinates = encoder.transform(dataset.images, device)
    seen_N = None
    if seen is not None:
        seen_N = partition.draw(len(dataset), seed) | np.isin(digests(dataset.images), seen)
    return Tasks(
        labels_ND=encoder.classify(coordinates),
        names=encoder.names,
        ids_N=dataset.ids,
        k=(encoder.classes,) * len(encoder.names),
        coordinates_NP=coordinates,
        seen_N=seen_N,
        images=dataset.images,
    )


def encoder_of(run: Run, objects: Mapping[str, Network]) -> Encoder:
    """Open the encoder of a run.

    Raises:
        RunDirError: where it is missing or damaged, or needs code that the caller did not name.
    """
    run.objects = {**run.objects, **objects}
    return run.encoder


def named_networks(learner: str, objects: Mapping[str, Network]) -> dict[str, Network]:
    """Return the networks that the caller has named: by objects, or by the text of a SPEC."""
    return {learner: learner, **objects} if learner else dict(objects)


def binary_tasks(chosen: Chosen, where: str) -> Sequence[Labeling]:
    """Return the labelings that can cut a data set.

    Raises:
        ConfigError: for more than two classes.
        DataError: where an image has no class.
    """
    for labeling in chosen.labelings:
        if labeling.k != 2:
            raise ConfigError(
                f"only binary tasks can cut a data set; {labeling.name} has {labeling.k} classes",
                where=where,
                hint="discover with --classes 2",
            )
        if not labeling.known_N.all():
            missing = int((~labeling.known_N).sum())
            raise DataError(
                f"{labeling.name} has {missing} missing values",
                where=where,
                hint="a split is cut along a binary task that labels every image",
            )
    return chosen.labelings


def is_untrained(given: Any) -> bool:
    """Say whether the task of an untrained network is named."""
    return isinstance(given, str) and given.startswith(UNTRAINED)
