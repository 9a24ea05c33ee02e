"""What a job is given, as objects: data, labelings, tasks to cut along, encoders.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from taskdiscovery.config import DataConfig, Network, ReadConfig, part_of
from taskdiscovery.data import partition, read_labelings, split_file_column, target_of
from taskdiscovery.data.labels.labelings import labelings_of_frame
from taskdiscovery.data.labels.targets import aligned, is_target_spec
from taskdiscovery.data.readers.arrays import digests
from taskdiscovery.errors import ConfigError, DataError, RunDirError, nearest
from taskdiscovery.features import load, with_features
from taskdiscovery.jobs.specs import UNTRAINED, split_run_task, task_names
from taskdiscovery.runtime import devices, hardware
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store import Run
from taskdiscovery.store.layout import TASKS
from taskdiscovery.types import BoolArray, Dataset, Document, Labeling, Tasks
from taskdiscovery.types.classes import column_of

if TYPE_CHECKING:
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder

C = TypeVar("C", bound="ReadConfig")


def read_data(data: Any, config: ReadConfig, callbacks: Callbacks) -> Dataset:
    """Read DATA, or take what the caller holds, with the options of a job; with its features.

    Raises:
        ConfigError, DataError, ResourceError: as `load`.
    """
    told = callbacks.callbacks
    dataset = load(
        data,
        size=config.size,
        fit=config.fit,
        range=config.range,
        skip_bad=config.skip_bad,
        missing=config.missing,
        groups=config.groups,
        test=getattr(config, "test", ""),
        callbacks=told,
    )
    named = config.features if isinstance(config, DataConfig) else ""
    if not named:
        return dataset
    from taskdiscovery.executors import resolve_device

    threads = getattr(config, "threads", None) or hardware.cpu_cores()
    with hardware.threads(threads):
        executor = getattr(config, "executor", "serial")
        device = devices.here(resolve_device(getattr(config, "device", "cpu"), executor))
        return with_features(dataset, named, device=device, callbacks=told)


def reading_of(given: Any) -> ReadConfig:
    """Return how the images of the discovery that is given were read: of a `Run`, its path or
    RUN:TASK, or what `discover` returned; the defaults for anything else.

    Raises:
        RunDirError: where a run cannot be opened.
        ConfigError: where its config cannot be used.
    """
    if isinstance(given, str | Path):
        path, _ = (None, "") if is_target_spec(str(given)) else split_run_task(str(given))
        given = None if path is None else Run.open(path)
    config = getattr(given, "config", None)
    if not isinstance(config, Mapping):
        return ReadConfig()
    known = part_of(ReadConfig, config, str(getattr(given, "path", "config")))
    return replace(known, groups="")  # a column of its own data: see `parts`


def read_alike(config: C, known: ReadConfig) -> C:
    """Return options that read images as a discovery read its own, where they say nothing else.

    Args:
        config: as given.
        known: how the discovery read its own.
    """
    size = known.size if config.size is None else config.size
    fit = known.fit if config.fit == "crop" and size is not None else config.fit
    return replace(
        config,
        size=size,
        fit=fit,
        range=config.range or known.range,
        skip_bad=config.skip_bad or known.skip_bad,
        missing=config.missing or known.missing,
    )


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
        given: a target SPEC; RUN[:TASK[,TASK]] or FILE[:COLUMN]; `Tasks`, a `Discovery`, a `Run`, a
            `Labeling`; a Series, a frame (a labeling a column), an array (N,) or (N, D), a list
            with a value per image; or a list of these, or a mapping from names to these.
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
        seen_N=_all_seen(np.logical_or.reduce(seen), dataset) if seen else None,
        discovered=bool(seen) or _names_tasks(given),
    )


def _all_seen(seen_N: BoolArray, dataset: Dataset) -> BoolArray:
    """Add what belongs together with an image that was seen, and what is to be trained on.

    Raises:
        DataError: where no image is left to measure on.
    """
    whole_N = partition.whole(seen_N, dataset.groups)
    if dataset.train_N is not None:
        whole_N = whole_N | dataset.train_N
    if not seen_N.all() and whole_N.all():
        raise DataError(
            "discovery has seen images of every group, or all that are to be measured on",
            where=dataset.name,
            hint="discover with the same --groups and --test",
        )
    return whole_N


def _names_tasks(given: Any) -> bool:
    """Say whether a text names tasks of a run or a table, rather than a labeling of the data."""
    return isinstance(given, Path) or (isinstance(given, str) and not is_target_spec(given))


def _labelings(dataset: Dataset, given: Any, objects: Mapping[str, Network]) -> list[Labeling]:
    if isinstance(given, Run):
        return list(tasks_of_run(given, dataset, objects))
    if hasattr(given, "encoder") and hasattr(given, "tasks"):  # a Discovery
        return list(tasks_of_discovery(given, dataset))
    if isinstance(given, Tasks):
        _check_images(given, dataset)
        return aligned(list(given), dataset)
    if isinstance(given, str | Path):
        return _named(dataset, str(given), objects)
    if isinstance(given, Mapping):
        return [
            replace(labeling, name=str(name))
            for name, one in given.items()
            for labeling in _labelings(dataset, one, objects)
        ]
    if hasattr(given, "columns") and hasattr(given, "iloc"):
        return labelings_of_frame(dataset, given)
    if isinstance(given, Labeling) or hasattr(given, "to_numpy"):
        return [target_of(dataset, given, "labels")]
    if isinstance(given, Iterable) and not hasattr(given, "shape"):
        given = list(given)
        if not _values(given):
            return _several(dataset, given, objects)
        given = [value.item() if _is_cell(value) else value for value in given]
    values = column_of(given)
    if values.ndim == 2:
        return [target_of(dataset, column, "labels") for column in values.T]
    return [target_of(dataset, values, "labels")]


def _check_images(tasks: Tasks, dataset: Dataset) -> None:
    """Refuse tasks of other images that have the same row numbers.

    Raises:
        DataError: where they are.
    """
    known = tasks.content is not None and tasks.content.shape == dataset.content.shape
    if known and dataset.has_row_numbers and not _same_images(tasks, dataset):
        raise DataError(
            "these tasks are of other images",
            where=dataset.name,
            hint="label them with its encoder (label), or give its labels as an array",
        )


def _several(
    dataset: Dataset, given: Sequence[Any], objects: Mapping[str, Network]
) -> list[Labeling]:
    """Make labelings of a list of what may be one or several each."""
    own = iter(aligned([one for one in given if isinstance(one, Labeling)], dataset))
    return [
        labeling
        for one in given
        for labeling in (
            [next(own)] if isinstance(one, Labeling) else _labelings(dataset, one, objects)
        )
    ]


def _values(given: Sequence[Any]) -> bool:
    """Say whether a list holds one value per image, rather than labelings.

    Texts are values but where one of them names a labeling: a target SPEC, a run or a file.
    """
    texts = {value for value in given if isinstance(value, str)}
    others = [value for value in given if not isinstance(value, str) and not _is_missing(value)]
    if any(isinstance(v, Path) or np.ndim(v) or hasattr(v, "ids_N") for v in others):
        return False
    if others:
        return all(isinstance(v, bool | int | float | np.generic) or _is_cell(v) for v in others)
    return bool(texts) and not any(":" in t or is_target_spec(t) or Path(t).exists() for t in texts)


def _is_cell(value: Any) -> bool:
    """Say whether a value is a tensor or an array without axes."""
    return getattr(value, "shape", None) == () and hasattr(value, "item")


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _named(dataset: Dataset, text: str, objects: Mapping[str, Network]) -> list[Labeling]:
    if is_target_spec(text):
        return [target_of(dataset, text)]
    run_path, task = split_run_task(text)
    if run_path is not None:
        tasks = tasks_of_run(Run.open(run_path), dataset, objects)
        return [tasks[name] for name in task_names(task)] if task else list(tasks)
    path, columns = Path(text), None
    if not path.exists() and ":" in text:
        path, column = split_file_column(text)
        columns = [column]
    elif not path.exists() and not path.suffix:
        raise ConfigError(
            f"no labeling, run or file is called {text!r}",
            where="tasks",
            hint=f"{nearest(text, ('label', 'attr:COLUMN'))}, or give RUN or FILE[:COLUMN]",
        )
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
        return replace(run.tasks, ids_N=dataset.ids, **_content(dataset))
    encoder = encoder_of(run, objects)
    seen_N = _seen_before(encoder, dataset, run.seen_images())
    seen_N = _with_partition(seen_N, dataset, run.seed)
    return labelled(encoder, dataset, seen_N=seen_N)


def tasks_of_discovery(found: Any, dataset: Dataset) -> Tasks:
    """Return the tasks of a discovery for a data set, as `tasks_of_run` does."""
    tasks: Tasks = found.tasks
    if _same_images(tasks, dataset):
        return tasks
    seen_N = _seen_before(found.encoder, dataset, _seen_by(found, dataset))
    seen_N = _with_partition(seen_N, dataset, int(found.config.get("seed", 0)))
    return labelled(found.encoder, dataset, seen_N=seen_N)


def _same_images(tasks: Tasks, dataset: Dataset) -> bool:
    """Say whether tasks are of these very images; ids alone may be row numbers of any others."""
    if not np.array_equal(tasks.ids_N, dataset.ids):
        return False
    if tasks.content is None or tasks.content is dataset.content:
        return True
    return tasks.content.shape == dataset.content.shape and np.array_equal(
        digests(tasks.content), digests(dataset.content)
    )


def _seen_by(found: Any, dataset: Dataset) -> Any:
    """Return the digests of the images that a discovery has seen."""
    tasks: Tasks = found.tasks
    if tasks.content is None or tasks.seen_N is None:
        raise DataError(
            "it is not known which images this discovery has seen",
            where=dataset.name,
            hint="give its run directory, or the data that it was found on",
        )
    return digests(tasks.content)[tasks.seen_N]


def labelled_by(found: Any, dataset: Dataset, objects: Mapping[str, Network], device: str) -> Tasks:
    """Label images with the encoder of a run, of a discovery, or with an encoder.

    Args:
        found: one of these.
        dataset: the images. Where discovery has seen some of them, the tasks say which.
        objects: networks that the caller has named, by name.
        device: where to compute.

    Raises:
        RunDirError: where the run or its encoder cannot be used.
        DataError: for anything else, or images of another shape.
    """
    if isinstance(found, Run):
        encoder, seen = encoder_of(found, objects), found.seen_images()
        seed = found.seed
    else:
        encoder = getattr(found, "encoder", found)
        if not hasattr(encoder, "transform"):
            raise DataError(
                f"{type(found).__name__} cannot label images",
                where="label",
                hint="give a run of discover, what discover returned, or an encoder",
            )
        seen = None if encoder is found else _seen_by(found, dataset)
        seed = 0 if encoder is found else int(found.config.get("seed", 0))
    seen_N = None if seen is None else _seen_before(encoder, dataset, seen)
    if seen_N is not None:  # where nothing was seen, any job may draw its own partition
        seen_N = _with_partition(seen_N, dataset, seed) if seen_N.any() else None
    return labelled(encoder, dataset, seen_N=seen_N, device=device)


def seen_before(found: Any, dataset: Dataset, objects: Mapping[str, Network]) -> BoolArray:
    """Return (N,) True for images of a data set that a discovery has seen, by their content.

    Args:
        found: a run, or what discover returned.
        dataset: the images.
        objects: networks that the caller has named, by name.

    Raises:
        RunDirError: where the run cannot be used.
    """
    if isinstance(found, Run):
        return _seen_before(encoder_of(found, objects), dataset, found.seen_images())
    return _seen_before(found.encoder, dataset, _seen_by(found, dataset))


def _seen_before(encoder: Encoder | FeatureEncoder, dataset: Dataset, seen: Any) -> BoolArray:
    """Return (N,) True for images whose digest is among those of the images discovery has seen."""
    taken = encoder.as_taken(dataset.images) if dataset.has_images else dataset.content
    return np.isin(digests(taken), seen)


def _with_partition(seen_N: BoolArray, dataset: Dataset, seed: int) -> BoolArray:
    """Add the training part of a partition, where there are images enough to cut a test part.

    What belongs together with an image that was seen counts as seen.
    """
    seen_N = partition.whole(seen_N, dataset.groups)
    if len(seen_N) < partition.AT_LEAST and dataset.train_N is None:
        return seen_N
    return seen_N | partition.of(dataset, seed)


def labelled(
    encoder: Encoder | FeatureEncoder,
    dataset: Dataset,
    *,
    seen_N: BoolArray | None,
    device: str = "cpu",
) -> Tasks:
    """Label images with an encoder.

    Args:
        encoder: of the tasks.
        dataset: the images.
        seen_N: (N,) True for images that may be trained on, or None where nothing was seen.
        device: where to compute.
    """
    coordinates = encoder.of_dataset(dataset, device)
    return Tasks(
        labels_ND=encoder.classify(coordinates),
        names=encoder.names,
        ids_N=dataset.ids,
        k=(encoder.classes,) * len(encoder.names),
        coordinates_NP=coordinates,
        seen_N=seen_N,
        device=device,
        **_content(dataset),
    )


def _content(dataset: Dataset) -> Document:
    """Return what `Tasks` know their rows by."""
    if dataset.has_images:
        return {"images": dataset.images}
    return {"features": dataset.features}


def encoder_of(run: Run, objects: Mapping[str, Network]) -> Encoder | FeatureEncoder:
    """Open the encoder of a run.

    Raises:
        RunDirError: where it is missing or damaged, or needs code that the caller did not name.
    """
    if objects:
        known = run.objects
        run = Run.open(run.path)  # the caller's stays as it is
        run.objects = {**known, **objects}
    return run.encoder


def named_networks(learner: str, objects: Mapping[str, Network]) -> dict[str, Network]:
    """Return the networks that the caller has named: by objects, or by the text of a SPEC."""
    return {learner: learner, **objects} if learner else dict(objects)


def check_binary(chosen: Chosen, where: str) -> None:
    """Refuse labelings that cannot cut a data set.

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


def is_untrained(given: Any) -> bool:
    """Say whether the task of an untrained network is named."""
    return isinstance(given, str) and given.startswith(UNTRAINED)


def check_named_run(tasks: Any) -> None:
    """Refuse a text that names no run with tasks; objects are not looked at.

    Raises:
        ConfigError: where it names no run.
        RunDirError: where the run holds no tasks.
    """
    if not isinstance(tasks, str | Path):
        return
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
