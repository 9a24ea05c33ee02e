"""`score`: agreement scores of labelings, with references beside them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from taskdiscovery.config import ScoreConfig
from taskdiscovery.data import target_of
from taskdiscovery.data.labels.human import ALL, human_labelings, human_references
from taskdiscovery.data.labels.targets import check_classes
from taskdiscovery.errors import ConfigError, WorkerError
from taskdiscovery.jobs.inputs import choose, named_networks, read_alike, read_data, reading_of
from taskdiscovery.jobs.naming import SEVERAL, check_free_name, named
from taskdiscovery.jobs.parts import with_parts
from taskdiscovery.jobs.session import Job, session
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.types import Dataset, Labeling, Score, Scores

if TYPE_CHECKING:
    from taskdiscovery.scoring import View


def run(
    data: Any,
    tasks: Any,
    config: ScoreConfig,
    sink: Sink,
    callbacks: Callbacks,
) -> Scores:
    """Do the job.

    Args:
        data: anything that `load` takes.
        tasks: what is scored, as `inputs.choose` takes it; None for what the config names.
        config: as given.
        sink: where the job writes.
        callbacks: told of progress.

    Raises:
        TaskDiscoveryError: see `errors`.
    """
    given = tasks if tasks is not None else config.target or config.tasks
    if given is None or (isinstance(given, str) and not given):
        raise ConfigError(
            "no labelings to score were given",
            where="score",
            hint="give --target SPEC or --from RUN|FILE",
        )
    check_free_name(config, sink)
    config = with_parts(read_alike(config, reading_of(given)), given, data)
    dataset = read_data(data, config, callbacks)
    wanted = given
    if isinstance(given, str) and given == ALL:
        wanted = human_labelings(dataset)
    elif tasks is None and config.target:
        wanted = target_of(dataset, given)
    chosen = choose(dataset, wanted, named_networks(config.learner, config.objects))
    from taskdiscovery import scoring

    labelings = [check_classes(labeling) for labeling in chosen.labelings]
    config = named(config, sink, labelings[0].name if len(labelings) == 1 else SEVERAL)
    if chosen.discovered:
        labelings += human_references(dataset, labelings, config.references)
    labelings.append(scoring.random_like(labelings[0], config.seed))
    config = _resolved(config, dataset, labelings)
    view = scoring.view_of(dataset, config, chosen.seen_N)
    scores: list[Score] = []
    held = () if isinstance(given, str) else chosen.labelings
    with session(sink, dataset, config, callbacks, held) as job:
        try:
            for score in _scored(dataset, labelings, config, view, job):
                scores.append(replace(score, name=config.name))
        except WorkerError:  # labelings were set aside: the others' scores are kept
            if job.run is not None and scores:
                _write(job, scores, dataset, config.name)
            raise
        if job.run is not None:
            _write(job, scores, dataset, config.name)
    return Scores(scores)


def _write(job: Job, scores: list[Score], dataset: Dataset, name: str) -> None:
    assert job.run is not None
    job.run.write_scores(Scores(scores), dataset, name=name, options=job.options)


def _scored(
    dataset: Dataset, labelings: list[Labeling], config: ScoreConfig, view: View, job: Job
) -> Iterator[Score]:
    """Yield the score of each labeling."""
    from taskdiscovery import scoring
    from taskdiscovery.executors import workbench

    with workbench(
        dataset, config, config.learner_of(), view.fit, job.journal, job.callbacks
    ) as bench:
        yield from scoring.score(bench, labelings, config, view)


def _resolved(config: ScoreConfig, dataset: Dataset, labelings: list[Labeling]) -> ScoreConfig:
    """Take the decisions that depend on the machine and the learner."""
    from taskdiscovery.executors import resolve_training

    outputs = {config.learner: {labeling.k for labeling in labelings}}
    return resolve_training(config, dataset, config.runs * len(labelings), outputs)
