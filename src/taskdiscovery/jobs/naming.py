"""What the scores and the splits of a run are called, so that no job replaces another's."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from taskdiscovery.config import ScoreConfig, SplitConfig
from taskdiscovery.jobs.sink import KINDS, Sink, refuse_taken
from taskdiscovery.store import Run
from taskdiscovery.store.layout import free_name

C = TypeVar("C", ScoreConfig, SplitConfig)
#: what scores of several labelings are called.
SEVERAL = "tasks"


def check_free_name(config: ScoreConfig | SplitConfig, sink: Sink) -> None:
    """Refuse a name that the run has already, before anything long begins.

    Raises:
        RunDirError: naming the option.
    """
    if config.name and sink.added is not None and sink.resumed is None:
        refuse_taken(Run.open(sink.added), sink.command, config.name)


def named(config: C, sink: Sink, what: str) -> C:
    """Return the options of a job with the name that its result will have.

    Args:
        config: as given.
        sink: where the job writes.
        what: the labeling that is split or scored, or `SEVERAL`.
    """
    if config.name:
        return config
    known = {} if sink.added is None else Run.open(sink.added).names(KINDS[sink.command])
    return replace(config, name=free_name(what, config.learner, known))
