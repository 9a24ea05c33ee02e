"""What a job tells of itself while it runs: one protocol for progress bars, metrics and loggers.

A callback is told on the process that drives the job, on the first rank alone. One that raises ends
the job, which can then be resumed: so a callback may be a reason to stop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskdiscovery.runtime.progress import Meter

if TYPE_CHECKING:
    from pathlib import Path

    from taskdiscovery.types import Score

#: numbers of an iteration or an outer step, by name.
Numbers = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """What callbacks are told of the job.

    Attributes:
        command: `discover`, `score`, `split` or `analyze`.
        config: every option, as it was resolved.
        run: the run directory that it writes to, or None.
        known_step: outer steps that `metrics.jsonl` tells of already, where the job is resumed.
    """

    command: str
    config: Mapping[str, Any] = field(default_factory=dict)
    run: Path | None = None
    known_step: int = 0


class Callback:
    """Told of what a job does. Override what is wanted; nothing needs to be returned."""

    def on_job_start(self, job: JobInfo) -> None:
        """A job begins, or goes on."""

    def on_job_end(self, job: JobInfo, error: BaseException | None) -> None:
        """A job has ended; `error` says why, where it did not finish."""

    def on_stage_start(self, stage: str, total: float) -> None:
        """A part of the job begins whose progress will be told; `total` is all of it."""

    def on_progress(self, stage: str, amount: float, note: str) -> None:
        """So much more of the stage is done; `note` is the latest result, or empty."""

    def on_stage_end(self, stage: str) -> None:
        """The stage has ended."""

    def on_iteration(self, numbers: Numbers) -> None:
        """A power iteration has ended; `numbers` are those of `result.json`."""

    def on_outer_step(self, numbers: Numbers) -> None:
        """An outer step of a meta-gradient search has ended."""

    def on_score(self, score: Score, *, remembered: bool) -> None:
        """A labeling has its score; `remembered` where an earlier sitting had computed it."""

    def on_checkpoint(self, number: int) -> None:
        """A checkpoint was committed."""

    def on_result(self, found: Any) -> None:
        """A job has what its verb will return: a `Discovery`, a `Split`, `Evidence`, an `Audit`, an
        `Estimate`, `Stressed`. Scores are told one by one. It is not committed yet.
        """


class Callbacks(Callback):
    """Several callbacks as one, told in order.

    Args:
        callbacks: to be told.
    """

    def __init__(self, callbacks: Iterable[Callback] = ()) -> None:
        self.callbacks = tuple(callbacks)

    def on_job_start(self, job: JobInfo) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_job_start(job)

    def on_job_end(self, job: JobInfo, error: BaseException | None) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_job_end(job, error)

    def on_stage_start(self, stage: str, total: float) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_stage_start(stage, total)

    def on_progress(self, stage: str, amount: float, note: str) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_progress(stage, amount, note)

    def on_stage_end(self, stage: str) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_stage_end(stage)

    def on_iteration(self, numbers: Numbers) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_iteration(numbers)

    def on_outer_step(self, numbers: Numbers) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_outer_step(numbers)

    def on_score(self, score: Score, *, remembered: bool) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_score(score, remembered=remembered)

    def on_checkpoint(self, number: int) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_checkpoint(number)

    def on_result(self, found: Any) -> None:
        """Pass it on."""
        for callback in self.callbacks:
            callback.on_result(found)

    @contextmanager
    def stage(self, name: str, total: float) -> Iterator[Meter]:
        """Tell of a part of the job while the block runs; the meter that it gives is advanced."""
        self.on_stage_start(name, total)
        try:
            yield _StageMeter(self, name)
        finally:
            self.on_stage_end(name)


class _StageMeter:
    def __init__(self, callbacks: Callbacks, stage: str) -> None:
        self._callbacks, self._stage = callbacks, stage

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._callbacks.on_progress(self._stage, amount, note)
