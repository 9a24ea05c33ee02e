"""Names for the tasks of a data set: which model is asked, and about which images.

Axes: N images, W words.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.analysis.naming.choosing import name_tasks
from taskdiscovery.analysis.naming.namers import namer_of
from taskdiscovery.config import AnalyzeConfig
from taskdiscovery.data import partition
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Dataset, Name, Tasks

IMAGES = 2000  # that names are chosen on, and as many that they are measured on


def names_for(
    dataset: Dataset, tasks: Tasks, config: AnalyzeConfig, callbacks: Callbacks
) -> tuple[str, tuple[Name, ...]]:
    """Choose names on images that discovery has seen, and measure them on others.

    Where it is not known what it has seen, words are chosen on a random half.

    Args:
        dataset: the images.
        tasks: their tasks, with a partition where there is one.
        config: which model, if any, and how many images; its seed decides which.
        callbacks: told of progress.

    Returns:
        What the model is called, empty where none was asked for; and the names.

    Raises:
        ConfigError: for a model that cannot be read.
        DataError: for images that it cannot look at.
        ResourceError: where its weights are not installed.
    """
    if not config.names:
        return "", ()
    namer = namer_of(config.names, config.device)
    seen_N = tasks.seen_N
    if seen_N is None or not seen_N.any():
        rng = generator(config.seed, "names")
        if dataset.groups is None:
            seen_N = rng.permutation(len(dataset)) < len(dataset) // 2
        else:
            seen_N = np.zeros(len(dataset), dtype=np.bool_)
            seen_N[partition.cut(np.arange(len(dataset)), 2, rng, dataset.groups)[0]] = True
    most = min(config.images, IMAGES)
    train, held = (
        partition.sample(np.flatnonzero(part), most, config.seed, purpose)
        for part, purpose in ((seen_N, "names, train"), (~seen_N, "names, held out"))
    )
    scores_NW = namer.scores(dataset, np.concatenate([train, held]), callbacks)
    parts = scores_NW[: len(train)], scores_NW[len(train) :]
    return namer.kind, name_tasks(tasks, (train, held), parts, namer.vocabulary)
