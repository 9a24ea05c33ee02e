"""Whole jobs, from data to a run directory: what the command line and `import taskdiscovery` call.

Every function takes the data (a specification or a `Dataset`) and the same options as its
subcommand. With `out` the results are also written, each file whole or not at all; `score` and
`split` of a run's own tasks are added to that run, unless `out` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from taskdiscovery import data, rundir
from taskdiscovery.config import (
    DiscoverConfig,
    JobConfig,
    ScoreConfig,
    SplitConfig,
    from_mapping,
    to_mapping,
)
from taskdiscovery.data.arrays import digests
from taskdiscovery.errors import ConfigError, DataError, TaskDiscoveryError, nearest
from taskdiscovery.rundir import RunDir, write_json, write_parquet
from taskdiscovery.types import BoolArray, Dataset, Score, Split, Target, Tasks

if TYPE_CHECKING:
    from taskdiscovery.discovery import Discovery, Encoder
    from taskdiscovery.splits import Cut

Data = str | Dataset


def discover(source: Data, *, out: Path | str | None = None, **options: Any) -> Discovery:
    """Find tasks on which a learner generalizes.

    Args:
        source: DATA specification or a data set.
        out: a new run directory for the results, or None to write nothing.
        **options: as `DiscoverConfig`, e.g. `tasks=16, method="power", learner="convnet"`.

    Returns:
        Tasks, encoder, headline numbers.

    Raises:
        TaskDiscoveryError: see `errors`; nothing is written where options or data are wrong.
    """
    return run_discover(source, from_mapping(DiscoverConfig, options, "discover"), out)


def score(
    source: Data,
    target: str | Target | Tasks | None = None,
    *,
    out: Path | str | None = None,
    **options: Any,
) -> list[Score]:
    """Score labelings; a row named `random` stands beside them.

    Args:
        source: DATA specification or a data set.
        target: a target SPEC, a labeling, or tasks that were discovered on this very data.
        out: a new run directory for the results, or None.
        **options: as `ScoreConfig`, e.g. `preset="quick", runs=3, learner="resnet18?width=0.25"`.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    if isinstance(target, str):
        options["target"], target = target, None
    return run_score(source, from_mapping(ScoreConfig, options, "score"), out, labelings=target)


def split(
    source: Data, target: str, tasks: str, *, out: Path | str | None = None, **options: Any
) -> Split:
    """Split labelled data so that a learner fails.

    Args:
        source: DATA specification or a data set.
        target: SPEC of the labeling to break.
        tasks: RUN[:TASK], FILE:COLUMN or untrained:NETWORK, as `--from`.
        out: a new run directory for the results, or None.
        **options: as `SplitConfig`.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    options |= {"target": target, "from": tasks}
    return run_split(source, from_mapping(SplitConfig, options, "split"), out).split


def run_discover(
    source: Data,
    config: DiscoverConfig,
    out: Path | str | None,
    *,
    on_iteration: Callable[[dict[str, Any]], None] = lambda row: None,
) -> Discovery:
    """Do `discover` with a config; `on_iteration` is told every iteration's numbers."""
    place = _new_place(out)
    dataset = _read(source, config)
    from taskdiscovery.discovery import discover as search
    from taskdiscovery.discovery import resolve

    config = resolve(config, len(dataset))
    with _job(place, "discover", dataset, config) as run:

        def report(row: dict[str, Any]) -> None:
            if run is not None:
                run.metric(**row)
            on_iteration(row)

        found = search(dataset, config, on_iteration=report)
        if run is not None:
            _write_discovery(run, found, dataset)
    return found


@dataclass(frozen=True, eq=False, kw_only=True)
class _Labelings:
    """What is to be scored, and who may be trained on."""

    targets: list[Target]
    train: BoolArray | None
    references: bool


def run_score(
    source: Data,
    config: ScoreConfig,
    out: Path | str | None,
    *,
    labelings: Target | Tasks | None = None,
    on_score: Callable[[Score], None] = lambda score: None,
) -> list[Score]:
    """Do `score` with a config; `on_score` is told every score as it is finished."""
    place = _new_place(out)
    owner = _run_of(config.source) if config.source and place is None else None
    dataset = _read(source, config)
    chosen = _labelings(dataset, config, labelings)
    from taskdiscovery import scoring

    config = scoring.resolve(config)
    targets = list(chosen.targets)
    if chosen.references and (human := scoring.human_reference(dataset)) is not None:
        targets.append(human)
    targets.append(scoring.random_like(chosen.targets[0], config.seed))
    scores: list[Score] = []
    with _job(place, "score", dataset, config, owner) as run:
        for result in scoring.score(dataset, targets, config, train=chosen.train):
            scores.append(result)
            on_score(result)
            if run is not None:
                run.metric(event="score", **result.to_row(), seconds=result.seconds)
        if run is not None:
            _write_scores(run, scores, dataset)
    return scores


def run_split(source: Data, config: SplitConfig, out: Path | str | None) -> Any:
    """Do `split` with a config; returns `splits.SplitResult`."""
    if not config.target or not config.source:
        raise ConfigError(
            "split needs a target and a task",
            where="split",
            mend="give --target SPEC and --from RUN[:TASK]|FILE:COLUMN|untrained:NETWORK",
        )
    place = _new_place(out)
    run_path, task = _split_run_task(config.source)
    owner = run_path if place is None else None
    dataset = _read(source, config)
    target = _target(dataset, config.target)
    from taskdiscovery import splits

    config = splits.resolve(config)
    cuts, train = _cuts(dataset, config, run_path, task)
    with _job(place, "split", dataset, config, owner) as run:
        found = splits.split(dataset, target, cuts, config, train=train)
        if run is not None:
            _write_split(run, found.split)
            run.add_result({"split": found.result} if owner is not None else found.result)
    return found


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
    RunDir.open(Path(run))
    dataset = _read(source, config)
    encoder = _encoder(Path(run), config.learner)
    coordinates = encoder.coordinates(dataset.images, device)
    return Tasks(
        labels=encoder.labels(coordinates),
        names=encoder.names,
        ids=dataset.ids,
        k=(encoder.classes,) * len(encoder.names),
        coordinates=coordinates,
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
        return _stored_tasks(opened, dataset)
    tasks = label(run, dataset, learner=learner or "convnet")
    from taskdiscovery import partition

    images = opened.table("images.parquet")
    seen = images["digest"].to_numpy()[(images["partition"] == "train").to_numpy()]
    own = digests(dataset.images)
    train = partition.draw(len(dataset), int(opened.config().get("seed", 0))) | np.isin(own, seen)
    return Tasks(
        labels=tasks.labels,
        names=tasks.names,
        ids=tasks.ids,
        k=tasks.k,
        coordinates=tasks.coordinates,
        train=train,
    )


def read_data(source: Data, config: JobConfig) -> Dataset:
    """Read DATA with the options of a job."""
    return _read(source, config)


def next_run(command: str, learner: str) -> Path:
    """Name the next free directory under `runs/`, e.g. `runs/discover-convnet-2`."""
    stem = "".join(c if c.isalnum() or c in "-._" else "-" for c in f"{command}-{learner}")
    number = 1
    while (place := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return place


def _read(source: Data, config: JobConfig) -> Dataset:
    if isinstance(source, Dataset):
        return source
    return data.load(source, size=config.size, skip_bad=config.skip_bad)


def _new_place(out: Path | str | None) -> Path | None:
    if out is None:
        return None
    rundir.check_new(Path(out))
    return Path(out)


@contextmanager
def _job(
    place: Path | None, command: str, dataset: Dataset, config: JobConfig, owner: Path | None = None
) -> Iterator[RunDir | None]:
    """Create a run, or open the one to be added to; its status says how the job ended."""
    if place is None and owner is None:
        yield None
        return
    document = {"data": dataset.name, **to_mapping(config)}
    if place is not None:
        run = RunDir.create(place, command, document)
        described = {
            "name": dataset.name,
            "images": len(dataset),
            "fingerprint": dataset.fingerprint,
        }
        run.add_result({"data": described})
    else:
        assert owner is not None
        run = RunDir.open(owner, write=True)
    with run:
        try:
            yield run
        except KeyboardInterrupt:
            run.status("stopped", f"{command} was interrupted")
            raise
        except (ConfigError, DataError) as error:
            if place is not None:  # the input was wrong: nothing has begun, so nothing stays
                run.discard()
            else:
                run.status("failed", f"{command}: {error.what}")
            raise
        except TaskDiscoveryError as error:
            run.status("failed", f"{command}: {error.what}")
            raise
        except BaseException as error:
            run.status("failed", f"{command}: {type(error).__name__}")
            raise
        run.status("done", command)


def _target(dataset: Dataset, spec: str) -> Target:
    """Read a target SPEC, which may be FILE:COLUMN."""
    if spec.partition(":")[0] in ("label", "attr"):
        return dataset.target(spec)
    if ":" not in spec:
        return dataset.target(spec)
    path, column = data.split_file_column(spec)
    return data.read_labelings(path, dataset, [column])[0]


def _labelings(dataset: Dataset, config: ScoreConfig, given: Target | Tasks | None) -> _Labelings:
    from taskdiscovery.scoring import as_targets

    if isinstance(given, Tasks):
        return _Labelings(targets=as_targets(given), train=given.train, references=True)
    if given is not None:
        return _Labelings(targets=[given], train=None, references=False)
    if config.target:
        return _Labelings(targets=[_target(dataset, config.target)], train=None, references=False)
    if not config.source:
        raise ConfigError(
            "nothing to score is named", where="score", mend="give --target SPEC or --from RUN|FILE"
        )
    run_path, task = _split_run_task(config.source)
    if run_path is not None:
        tasks = load_tasks(run_path, dataset, config.learner)
        targets = as_targets(tasks)
        if task:
            targets = [_named(targets, task, lambda t: t.name)]
        return _Labelings(targets=targets, train=tasks.train, references=True)
    path, columns = Path(config.source), None
    if not path.exists() and ":" in config.source:
        path, column = data.split_file_column(config.source)
        columns = [column]
    return _Labelings(
        targets=data.read_labelings(path, dataset, columns), train=None, references=True
    )


def _cuts(
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


def _split_run_task(text: str) -> tuple[Path | None, str]:
    """Read RUN or RUN:TASK; (None, "") where it is no run directory."""
    if Path(text).is_dir():
        return Path(text), ""
    run, colon, task = text.rpartition(":")
    if colon and Path(run).is_dir():
        return Path(run), task
    return None, ""


def _run_of(source: str) -> Path | None:
    return _split_run_task(source)[0]


def _encoder(run: Path, learner: str) -> Encoder:
    from taskdiscovery.discovery import Encoder

    return Encoder.load(run / "encoder.safetensors", trusted_factory=learner)


def _stored_tasks(run: RunDir, dataset: Dataset) -> Tasks:
    table, coordinates = run.table("tasks.parquet"), run.table("coordinates.parquet")
    names = tuple(c for c in table.columns if c.startswith("task_"))
    classes = int(run.result().get("classes", 2))
    return Tasks(
        labels=table[list(names)].to_numpy(np.int64),
        names=names,
        ids=dataset.ids,
        k=(classes,) * len(names),
        coordinates=coordinates.drop(columns="image_id").to_numpy(np.float32),
        train=(table["partition"] == "train").to_numpy(),
    )


def _write_discovery(run: RunDir, found: Discovery, dataset: Dataset) -> None:
    tasks = found.tasks
    assert tasks.coordinates is not None
    assert tasks.train is not None
    found.encoder.save(run.path / "encoder.safetensors")
    table = tasks.to_pandas()
    table[list(tasks.names)] = table[list(tasks.names)].astype(np.uint8)
    write_parquet(run.path / "tasks.parquet", table)
    per_task = tasks.coordinates.shape[1] // len(tasks)
    columns = [
        name if per_task == 1 else f"{name}_{j}" for name in tasks.names for j in range(per_task)
    ]
    frame = pd.DataFrame(tasks.coordinates, columns=columns)
    frame.insert(0, "image_id", tasks.ids)
    write_parquet(run.path / "coordinates.parquet", frame)
    own = digests(dataset.images)
    images = pd.DataFrame({"image_id": tasks.ids, "partition": table["partition"], "digest": own})
    write_parquet(run.path / "images.parquet", images)
    run.add_result(found.result)


def _write_scores(run: RunDir, scores: list[Score], dataset: Dataset) -> None:
    """Add rows to `scores.parquet`; a row of the same task, learner and preset is replaced."""
    rows = pd.DataFrame([score.to_row() for score in scores])
    rows["kappa"] = rows["kappa"].astype(np.float64)
    key = ["task", "learner", "preset", "precision", "runs"]
    file = run.path / "scores.parquet"
    if file.exists():
        rows = pd.concat([run.table("scores.parquet"), rows], ignore_index=True)
        rows = rows.drop_duplicates(key, keep="last", ignore_index=True)
    write_parquet(file, rows)
    per_image = pd.DataFrame({"image_id": dataset.ids})
    for result in scores:
        column = np.full(len(dataset), np.nan, dtype=np.float32)
        column[result.test] = result.per_image
        per_image[result.task] = column
    file = run.path / "per_image.parquet"
    if file.exists():
        old = run.table("per_image.parquet")
        kept = [c for c in old.columns if c not in per_image.columns]
        per_image = pd.concat([per_image, old[kept]], axis=1)
    write_parquet(file, per_image)
    run.add_result({"scores": rows.to_dict("records")})


def _write_split(run: RunDir, found: Split) -> None:
    """Write the split as other tools read it, into `split/`."""
    from taskdiscovery.types import TEST, TRAIN, WITHIN

    folder = run.path / "split"
    folder.mkdir(exist_ok=True)
    frame = found.to_frame()
    with rundir.atomic(folder / "metadata.csv") as stream:
        stream.write(frame.to_csv(index=False).encode("utf-8"))
    names = {"train": TRAIN, "within": WITHIN, "test": TEST}
    write_json(
        folder / "indices.json",
        {name: found.indices(role).tolist() for name, role in names.items()},
    )
    # scikit-learn's PredefinedSplit: -1 is never tested on, 0 is the one test fold.
    fold = np.where(found.role == TEST, 0, -1).astype(np.int64)
    with rundir.atomic(folder / "test_fold.npy") as stream:
        np.save(stream, fold, allow_pickle=False)
