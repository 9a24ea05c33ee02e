"""What a logger needs of a tool that keeps numbers of experiments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from taskdiscovery.runtime.callbacks import JobInfo
from taskdiscovery.types import Document

#: how a job ended.
DONE, FAILED, STOPPED = "done", "failed", "stopped"


class Tracker(ABC):
    """One job, as a tool keeps it. What fails in here ends the logging, never the job."""

    @abstractmethod
    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Keep numbers of an iteration, an outer step or a score, by name."""

    @abstractmethod
    def result(self, values: Mapping[str, float], words: str) -> None:
        """Keep what the job found: its headline numbers, and a line of text."""

    @abstractmethod
    def close(self, state: str, reason: str) -> None:
        """Keep how the job ended, `DONE`, `FAILED` or `STOPPED`, and why; write everything out."""

    def told(self, event: str, document: Document) -> None:  # noqa: B027  most keep numbers alone
        """Keep an event as it was told: `iteration`, `outer_step`, `score`, `result`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Tool:
    """A tool that keeps numbers of experiments, at a place.

    Attributes:
        name: of its kind.
        open: begins to keep a job.
    """

    name: str
    open: Callable[[JobInfo], Tracker]


def title_of(job: JobInfo) -> str:
    """Return what a job is called: by its run directory where it has one."""
    return job.command if job.run is None else f"{job.run.name}/{job.command}"


def group_of(job: JobInfo) -> str:
    """Return what jobs of one run, and sittings of one job, have in common."""
    return str(job.run.resolve()) if job.run is not None else ""
