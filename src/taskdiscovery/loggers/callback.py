"""A callback that hands what a job tells to a tool that keeps numbers of experiments."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from taskdiscovery.errors import first_line, printable
from taskdiscovery.loggers.flat import numbers_of, of_result, of_score
from taskdiscovery.loggers.tracker import DONE, FAILED, STOPPED, Tool, Tracker
from taskdiscovery.runtime.callbacks import Callback, JobInfo, Numbers
from taskdiscovery.types import Document, Score

_LOG = logging.getLogger("taskdiscovery")


class Logger(Callback):
    """Keeps iterations, outer steps, scores and results with a tool: `td.logger("tensorboard")`.

    It may be used for several jobs, one after the other; each is kept by itself. What the tool
    fails at is a warning, once a job, and the job goes on without being kept.

    Args:
        tool: that keeps it.
    """

    def __init__(self, tool: Tool) -> None:
        self._tool = tool
        self._tracker: Tracker | None = None
        self._command, self._known_step, self._scores = "", 0, 0

    def __repr__(self) -> str:
        return f"<Logger {self._tool.name}>"

    def on_job_start(self, job: JobInfo) -> None:
        """Begin to keep the job."""
        self._command, self._known_step, self._scores = job.command, job.known_step, 0
        self._try(lambda: self._open(job))

    def on_iteration(self, numbers: Numbers) -> None:
        """Keep the numbers of an iteration."""
        self._step("iteration", numbers, int(numbers["iteration"]))

    def on_outer_step(self, numbers: Numbers) -> None:
        """Keep the numbers of an outer step, unless an earlier sitting did."""
        if int(numbers["step"]) > self._known_step:
            self._step("outer_step", numbers, int(numbers["step"]))

    def on_score(self, score: Score, *, remembered: bool) -> None:
        """Keep a score, those that were remembered, too: tools know nothing of earlier sittings."""
        self._scores += 1
        row = {**score.to_row(), "seconds": score.seconds, "remembered": remembered}
        values = numbers_of(of_score(score), f"{self._command}/{score.task}")
        self._keep("score", row, values, self._scores)

    def on_result(self, found: Any) -> None:
        """Keep what the job found."""
        document = of_result(found)
        values = numbers_of(document, self._command)
        words = repr(found).strip("<>")

        def keep(tracker: Tracker) -> None:
            tracker.told("result", dict(document))
            tracker.result(values, words)

        self._with(keep)

    def on_job_end(self, job: JobInfo, error: BaseException | None) -> None:
        """Say how the job ended."""
        state = FAILED if error is not None else DONE
        state = STOPPED if isinstance(error, KeyboardInterrupt) else state
        reason = "" if error is None else f"{type(error).__name__}: {first_line(error)}"
        self._with(lambda tracker: tracker.close(state, reason))
        self._tracker = None

    def _open(self, job: JobInfo) -> None:
        self._tracker = self._tool.open(job)

    def _step(self, event: str, numbers: Numbers, step: int) -> None:
        kept = {k: v for k, v in numbers.items() if k not in ("iteration", "step")}
        self._keep(event, dict(numbers), numbers_of(kept, self._command), step)

    def _keep(self, event: str, row: Document, values: dict[str, float], step: int) -> None:
        def keep(tracker: Tracker) -> None:
            tracker.told(event, row)
            tracker.numbers(values, step)

        self._with(keep)

    def _with(self, act: Callable[[Tracker], None]) -> None:
        tracker = self._tracker
        if tracker is not None:
            self._try(lambda: act(tracker))

    def _try(self, act: Callable[[], None]) -> None:
        """Do something that may fail for reasons of its own: a disk, a server, a library."""
        try:
            act()
        except Exception as error:
            self._tracker = None
            _LOG.warning(
                "%s keeps nothing more of this job: %s",
                self._tool.name,
                printable(first_line(error)),
            )
