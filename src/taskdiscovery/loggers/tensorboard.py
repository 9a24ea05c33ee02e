"""TensorBoard: event files that it, and most trackers, read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.errors import as_markdown
from taskdiscovery.loggers.flat import options_of
from taskdiscovery.loggers.libraries import require
from taskdiscovery.loggers.tracker import Tool, Tracker
from taskdiscovery.runtime.callbacks import JobInfo
from taskdiscovery.store.writing import resources

#: where event files go when no place is named: `tensorboard --logdir tensorboard`.
DEFAULT = "tensorboard"


class TensorBoard(Tracker):
    """Writes scalars, and the options and the result as texts.

    Args:
        folder: of the job's event files; those of an earlier sitting are gone on with.
        job: that is kept.
    """

    def __init__(self, folder: Path, job: JobInfo) -> None:
        from torch.utils.tensorboard import SummaryWriter

        writer: Any = SummaryWriter  # torch has no types for it
        self._writer = writer(str(folder))
        rows = [f"| {key} | {_cell(value)} |" for key, value in options_of(job.config).items()]
        self._writer.add_text("options", "\n".join(["| option | value |", "|---|---|", *rows]))

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Write scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def result(self, values: Mapping[str, float], words: str) -> None:
        """Write scalars of step 0, and a text."""
        self.numbers(values, 0)
        self._writer.add_text("result", _cell(words))

    def close(self, state: str, reason: str) -> None:
        """Write how the job ended, and close the file."""
        self._writer.add_text("end", _cell(f"{state} {reason}".strip()))
        self._writer.close()


def tool(where: str) -> Tool:
    """Return what writes event files, a folder a job.

    Args:
        where: folder that holds those of all jobs.

    Raises:
        ConfigError: where TensorBoard is not installed.
        ResourceError: where the folder cannot be made.
    """
    require("tensorboard")
    base = Path(where or DEFAULT).absolute()
    with resources(base):
        base.mkdir(parents=True, exist_ok=True)
    return Tool(name="tensorboard", open=lambda job: TensorBoard(_folder(base, job), job))


def _folder(base: Path, job: JobInfo) -> Path:
    """Return where a job's files go: a resumed job's own; else a folder that there is not yet."""
    if job.run is not None:
        return base / job.run.name / job.command
    number = 1
    while (base / f"{job.command}-{number}").exists():
        number += 1
    return base / f"{job.command}-{number}"


def _cell(text: str) -> str:
    return as_markdown(" ".join(text.split()))
