"""Scores of labelings as they are: `score` would set random and human ones beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from taskdiscovery import scoring
from taskdiscovery.config import ScoreConfig
from taskdiscovery.executors import resolve_training, workbench
from taskdiscovery.runtime.progress_bar import callbacks_of
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import BoolArray, Dataset, Labeling, Score


def scores(
    dataset: Dataset,
    labelings: Sequence[Labeling],
    config: ScoreConfig,
    seen_N: BoolArray | None = None,
    journal: Journal | None = None,
) -> Iterator[Score]:
    """Yield the score of each labeling as it is finished.

    Args:
        dataset: the images.
        labelings: with distinct names.
        config: as given.
        seen_N: (N,) which images may be trained on; by default those of the config's seed.
        journal: remembers what is finished; by default nothing does.
    """
    config = resolve_training(config, dataset, config.runs * len(labelings))
    view = scoring.view_of(dataset, config, seen_N)
    learner = config.learner_of()
    with workbench(
        dataset, config, learner, view.fit, journal or Journal(), callbacks_of(None)
    ) as bench:
        yield from scoring.score(bench, labelings, config, view)
