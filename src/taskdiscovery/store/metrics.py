"""`metrics.jsonl` as a callback: a line per iteration, per outer step, and per score."""

from __future__ import annotations

from taskdiscovery.runtime.callbacks import Callback, JobInfo, Numbers
from taskdiscovery.store.files import RunFiles
from taskdiscovery.types import Score


class MetricsFile(Callback):
    """Appends to the `metrics.jsonl` of a run.

    Args:
        run: the run, open for writing.
    """

    def __init__(self, run: RunFiles) -> None:
        self._run, self._known = run, 0

    def on_job_start(self, job: JobInfo) -> None:
        """Learn which outer steps are told of already."""
        self._known = job.known_step

    def on_iteration(self, numbers: Numbers) -> None:
        """Append a line."""
        self._run.metric(**numbers)

    def on_outer_step(self, numbers: Numbers) -> None:
        """Append a line, unless the step was told of by an earlier sitting.

        Steps between the last checkpoint and a kill are done again, with the same numbers.
        """
        if int(numbers["step"]) > self._known:
            self._run.metric(**numbers)

    def on_score(self, score: Score, *, remembered: bool) -> None:
        """Append a line, unless an earlier sitting did."""
        if not remembered:
            self._run.metric(event="score", **score.to_row(), seconds=score.seconds)
