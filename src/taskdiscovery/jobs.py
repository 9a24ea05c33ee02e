"""Whole jobs, from data to a run directory: what the command line and `import taskdiscovery` call.

Every function takes the data (a specification or a `Dataset`) and the same options as its
subcommand. With `out` the results are also written, each file whole or not at all; `score` and
`split` of a run's own tasks are added to that run, unless `out` says otherwise.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery import inputs, ranks, results, rundir
from taskdiscovery.config import (
    AnalyzeConfig,
    DiscoverConfig,
    JobConfig,
    ScoreConfig,
    SplitConfig,
    from_mapping,
    to_mapping,
)
from taskdiscovery.errors import (
    ConfigError,
    DataError,
    RunDirError,
    TaskDiscoveryError,
    WorkerError,
)
from taskdiscovery.inputs import Data, label, load_tasks, read_data, split_run_task
from taskdiscovery.journal import Journal
from taskdiscovery.rundir import RunDir
from taskdiscovery.types import Dataset, Score, Scores, Split, Target, Tasks

if TYPE_CHECKING:
    from taskdiscovery.analysis import Evidence
    from taskdiscovery.discovery import Discovery
    from taskdiscovery.splits import SplitResult

_LOG = logging.getLogger("taskdiscovery")

__all__ = [
    "analyze",
    "discover",
    "label",
    "load_tasks",
    "next_run",
    "resume",
    "run_analyze",
    "run_discover",
    "run_score",
    "run_split",
    "score",
    "split",
]


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
) -> Scores:
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


def resume(
    run: Path | str,
    source: Data | None = None,
    *,
    labelings: Target | Tasks | None = None,
    change_ranks: bool = False,
) -> Discovery | Scores | SplitResult | None:
    """Go on with the job of a run that was stopped; nothing that is finished is done again.

    Args:
        run: its run directory.
        source: the data, where it is no longer where it was, or was no specification.
        labelings: what was scored, where that was given as an object.
        change_ranks: whether another number of ranks than before may go on; sums are then rounded
            otherwise, and `result.json` says `exact: false`.

    Returns:
        What the job returns; None where it is done already.

    Raises:
        RunDirError: where options or data have changed, no checkpoint is whole, or another
            process is at work.
    """
    with RunDir.open(Path(run), write=ranks.first()) as opened:
        if opened.state() == "done":
            return None
        job = opened.job()
        document = dict(job["config"])
        where = f"{opened.path}, {job['command']}"
        _check_ranks(opened, document, where, change_ranks)
        if (source := source or document.pop("data", None)) is None:
            raise RunDirError("the job names no data", where=where, mend="give it with --data")
        document.pop("data", None)
        if job["command"] == "discover":
            config = from_mapping(DiscoverConfig, document, where)
            return run_discover(source, config, None, resumed=opened)
        if job["command"] == "score":
            scored = from_mapping(ScoreConfig, document, where)
            return run_score(source, scored, None, labelings=labelings, resumed=opened)
        if job["command"] == "analyze":
            raise RunDirError(
                "analyze is not resumed", where=where, mend=f"taskdiscovery analyze {opened.path}"
            )
        if job["command"] == "split":
            return run_split(
                source, from_mapping(SplitConfig, document, where), None, resumed=opened
            )
    raise RunDirError(
        f"{job['command']!r} is no job that can be resumed", where=where, mend="begin it again"
    )


def _check_ranks(run: RunDir, document: dict[str, Any], where: str, change: bool) -> None:
    """Refuse to go on with another number of ranks, unless that is asked for.

    Raises:
        RunDirError: naming both numbers.
    """
    before, now = document.get("ranks") or 1, ranks.size()
    if before != now and not change:
        raise RunDirError(
            f"the job was begun by {before} ranks, and there are {now}",
            where=where,
            mend=f"torchrun --nproc-per-node {before} -m taskdiscovery resume {run.path}; or add "
            "--change-ranks: sums are then rounded otherwise, and the result is marked",
        )
    if before != now and ranks.first():
        run.add_result({"exact": False, "ranks": [before, now]})
    document["ranks"] = now


def run_discover(
    source: Data,
    config: DiscoverConfig,
    out: Path | str | None,
    *,
    on_iteration: Callable[[dict[str, Any]], None] = lambda row: None,
    resumed: RunDir | None = None,
) -> Discovery:
    """Do `discover` with a config; `on_iteration` is told every new iteration's numbers."""
    place = _Place.of("discover", out, None, resumed)
    if idle := config.without_effect():
        _LOG.warning("%s: without effect with --method %s", ", ".join(idle), config.method)
    dataset = read_data(source, config)
    from taskdiscovery.discovery import discover as search
    from taskdiscovery.discovery import resolve

    warm = inputs.warm_encoder(config, dataset) if config.warm_start else None
    config = resolve(config, dataset)
    with place.job(dataset, config) as job:
        known = job.last_step()

        def report(row: dict[str, Any]) -> None:
            # Steps between the last checkpoint and a kill are done again, with the same numbers.
            if int(row.get("step", known + 1)) > known:
                job.metric(**row)
            on_iteration(row)

        found = search(dataset, config, on_iteration=report, journal=job.journal, warm=warm)
        if job.run is not None:
            results.write_discovery(job.run, found, dataset)
    return found


def run_score(
    source: Data,
    config: ScoreConfig,
    out: Path | str | None,
    *,
    labelings: Target | Tasks | None = None,
    on_score: Callable[[Score], None] = lambda score: None,
    resumed: RunDir | None = None,
) -> Scores:
    """Do `score` with a config; `on_score` is told every score as it is finished."""
    place = _Place.of("score", out, split_run_task(config.source)[0], resumed)
    dataset = read_data(source, config)
    chosen = inputs.labelings_of(dataset, config, labelings)
    from taskdiscovery import scoring
    from taskdiscovery.stage import resolve

    targets = list(chosen.targets)
    if chosen.references and (human := scoring.human_reference(dataset)) is not None:
        targets.append(human)
    targets.append(scoring.random_like(chosen.targets[0], config.seed))
    config = resolve(config, dataset, pieces=config.runs * len(targets))
    scores = Scores()
    with place.job(dataset, config) as job:
        before = scoring.finished(targets, job.journal)
        found = scoring.score(dataset, targets, config, train=chosen.train, journal=job.journal)
        try:
            for result in found:
                scores.append(result)
                on_score(result)
                if result.task not in before:
                    job.metric(event="score", **result.to_row(), seconds=result.seconds)
        except WorkerError:  # labelings were set aside: the others' scores are kept
            if job.run is not None and scores:
                results.write_scores(job.run, scores, dataset)
            raise
        if job.run is not None:
            results.write_scores(job.run, scores, dataset)
    return scores


def run_split(
    source: Data,
    config: SplitConfig,
    out: Path | str | None,
    *,
    resumed: RunDir | None = None,
    keep: bool = True,
) -> SplitResult:
    """Do `split` with a config; without `keep` a run that the tasks come from is only read."""
    if not config.target or not config.source:
        raise ConfigError(
            "split needs a target and a task",
            where="split",
            mend="give --target SPEC and --from RUN[:TASK]|FILE:COLUMN|untrained:NETWORK",
        )
    run_path, task = split_run_task(config.source)
    place = _Place.of("split", out, run_path if keep else None, resumed)
    dataset = read_data(source, config)
    target = inputs.target_of(dataset, config.target)
    from taskdiscovery import splits
    from taskdiscovery.stage import resolve

    config = resolve(config, dataset, pieces=splits.pieces(config))
    cuts, train = inputs.cuts_of(dataset, config, run_path, task)
    with place.job(dataset, config) as job:
        found = splits.split(dataset, target, cuts, config, train=train, journal=job.journal)
        if job.run is not None:
            results.write_split(job.run, found.split)
            job.run.add_result({"split": found.result} if place.added else found.result)
    return found


def analyze(run: Path | str, source: Data | None = None, **options: Any) -> Evidence:
    """Measure what the tasks of a run are about, and add the evidence to the run.

    Args:
        run: a finished run directory of `discover`.
        source: the data, where it is no longer where it was, or was no specification.
        **options: as `AnalyzeConfig`.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    return run_analyze(run, source, from_mapping(AnalyzeConfig, options, "analyze"))


def run_analyze(run: Path | str, source: Data | None, config: AnalyzeConfig) -> Evidence:
    """Do `analyze` with a config."""
    place = _Place.of("analyze", None, Path(run), None)
    opened = RunDir.open(Path(run))
    known = opened.config()
    read = replace(config, size=known.get("size"), skip_bad=bool(known.get("skip_bad")))
    dataset = read_data(source if source is not None else str(known.get("data")), read)
    tasks = load_tasks(run, dataset, str(known.get("learner", "")))
    encoder = inputs.encoder_of(opened, str(known.get("learner", "")))
    from taskdiscovery import analysis
    from taskdiscovery.training import set_threads

    config = replace(read, threads=set_threads(config.threads))
    with place.job(dataset, config) as job:
        found = analysis.analyze(dataset, tasks, encoder, config, seed=config.seed)
        if job.run is not None:
            results.write_evidence(job.run, found)
    return found


def next_run(command: str, learner: str) -> Path:
    """Name the next free directory under `runs/`, e.g. `runs/discover-convnet-2`."""
    stem = "".join(c if c.isalnum() or c in "-._" else "-" for c in f"{command}-{learner}")
    number = 1
    while (place := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return place


#: options that cannot change a result: they may differ when a job is resumed.
FREE = (
    "data",
    "checkpoint_every",
    "executor",
    "ray_address",
    "cpus_per_job",
    "gpus_per_job",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Job:
    """A job under way: where it writes, if it does, and what it remembers."""

    run: RunDir | None
    journal: Journal

    def metric(self, **values: Any) -> None:
        """Append a line to `metrics.jsonl`, if there is one."""
        if self.run is not None:
            self.run.metric(**values)

    def last_step(self) -> int:
        """Return the last outer step that `metrics.jsonl` tells of; 0 where there is none."""
        rows = [] if self.run is None else self.run.metrics()
        return max((int(row.get("step", 0)) for row in rows), default=0)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Place:
    """Where a job writes: a new run, a run that it adds to, one that it goes on with, or nowhere.

    Attributes:
        command: the subcommand.
        new: path of the run to be made.
        added: path of the run that the job adds to.
        resumed: the run, open and locked, whose job goes on.
    """

    command: str
    new: Path | None
    added: Path | None
    resumed: RunDir | None

    @classmethod
    def of(
        cls, command: str, out: Path | str | None, owner: Path | None, resumed: RunDir | None
    ) -> _Place:
        """Find the place, and refuse one that is taken, before anything long begins.

        Raises:
            RunDirError, ResourceError: where it cannot be used.
        """
        if not ranks.first():  # it helps, and writes nothing
            return cls(command=command, new=None, added=None, resumed=None)
        new = None if out is None else Path(out)
        if new is not None:
            rundir.check_new(new)
        added = owner if new is None else None
        if resumed is not None and added is not None and resumed.path.resolve() != added.resolve():
            added = None  # the job has a run of its own, and only reads the other
        if added is not None and resumed is None:
            with RunDir.extend(added):
                pass  # free now; it is taken when the job begins
        return cls(command=command, new=new, added=added, resumed=resumed)

    @contextlib.contextmanager
    def job(self, dataset: Dataset, config: JobConfig) -> Iterator[_Job]:
        """Open the run; when the block ends, commit, and say how the job ended."""
        document = {"data": dataset.name, **to_mapping(config)}
        run = self._open(document)
        if run is None:
            journal = Journal()
            journal.mirror()
            yield _Job(run=None, journal=journal)
            return
        header = {
            "command": self.command,
            "config": self._identity(document),
            "data": dataset.fingerprint,
        }
        with run if self.resumed is None else contextlib.nullcontext():
            try:
                journal = Journal(run.checkpoints, every=config.checkpoint_every, header=header)
                if self.resumed is not None:
                    journal.load()
                    run.resumed()
                journal.mirror()
                yield _Job(run=run, journal=journal)
                if self.added is None:
                    run.add_result({"data": results.described(dataset)})
                run.finish(self.command)
            except BaseException as error:
                self._ended_badly(run, error)
                raise

    def _open(self, document: Mapping[str, Any]) -> RunDir | None:
        if self.resumed is not None:
            return self.resumed
        if self.new is not None:
            return RunDir.create(self.new, self.command, document)
        if self.added is None:
            return None
        run = RunDir.extend(self.added)
        run.begin(self.command, document)
        return run

    def _identity(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """What must be the same for a job to go on."""
        kept = {key: value for key, value in document.items() if key not in FREE}
        kept.pop("ranks", None)  # `resume` has looked at it
        if self.added is not None:  # the run may have been moved
            kept["from"] = split_run_task(str(kept.get("from", "")))[1]
        return kept

    def _ended_badly(self, run: RunDir, error: BaseException) -> None:
        """Say in the run why the job ended; remove what never began."""
        if isinstance(error, ConfigError | DataError) and self.resumed is None:
            if self.new is not None:
                run.discard()
            else:
                run.withdraw()
            return
        reason = error.what if isinstance(error, TaskDiscoveryError) else type(error).__name__
        stopped = isinstance(error, KeyboardInterrupt)
        with contextlib.suppress(TaskDiscoveryError):  # the disk may be full
            run.status(
                "stopped" if stopped else "failed",
                f"{self.command}: {'interrupted' if stopped else reason}",
            )
        if stopped:
            error.args = (f"go on with: taskdiscovery resume {run.path}",)
