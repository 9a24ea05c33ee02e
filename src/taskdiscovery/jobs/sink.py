"""Where a job writes: a new run, a run that it adds to, one that it goes on with, or nowhere."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from taskdiscovery.errors import RunDirError
from taskdiscovery.runtime import ranks
from taskdiscovery.store import Run, check_new
from taskdiscovery.store.layout import SCORES, SPLITS, WORK, is_taken

#: the folder of a run that a command writes to, under a name.
KINDS = {"score": SCORES, "split": SPLITS}
#: commands whose results have a run of their own, always.
OWN_RUN = ("discover", "audit", "estimate")


@dataclass(frozen=True, eq=False, kw_only=True)
class Sink:
    """Where a job writes.

    Attributes:
        command: the subcommand.
        new: path of the run to be made.
        added: path of the run that the job adds to.
        resumed: the run, open and locked, whose job goes on.
    """

    command: str
    new: Path | None = None
    added: Path | None = None
    resumed: Run | None = None

    @classmethod
    def of(cls, command: str, out: Path | str | None, resumed: Run | None = None) -> Sink:
        """Find where a job writes, and refuse a place that is taken, before anything long begins.

        Args:
            command: the subcommand.
            out: a new directory; for jobs other than those of `OWN_RUN` also a finished run to
                add to; None to write nothing.
            resumed: the run whose job goes on.

        Raises:
            RunDirError, ResourceError: where it cannot be used.
        """
        if not ranks.first():  # it helps, and writes nothing
            return cls(command=command)
        if resumed is not None:
            added = resumed.path if resumed.job.get("added") else None
            return cls(command=command, added=added, resumed=resumed)
        if out is None:
            return cls(command=command)
        path = Path(out)
        if command not in OWN_RUN and is_run(path):
            check_free(path)  # it is taken when the job begins
            return cls(command=command, added=path)
        check_new(path)
        return cls(command=command, new=path)

    def open(self, document: Mapping[str, Any]) -> Run | None:
        """Open the run, and say in it which job begins; None where nothing is written."""
        if self.resumed is not None:
            return self.resumed
        if self.new is not None:
            return Run.create(self.new, self.command, document)
        if self.added is None:
            return None
        with contextlib.ExitStack() as opened:
            run = opened.enter_context(Run.extend(self.added))
            refuse_taken(run, self.command, str(document.get("name", "")))  # by a job since
            run.begin(self.command, document, added=True)
            opened.pop_all()  # it stays open
        return run


def refuse_taken(run: Run, command: str, name: str) -> None:
    """Refuse a name that a score or a split of the run has already.

    Raises:
        RunDirError: naming the option.
    """
    if name and command in KINDS and is_taken(name, run.names(KINDS[command])):
        raise RunDirError(
            f"the run has a {command} named {name!r} already",
            where=str(run.path),
            hint="give this one another name with --name; nothing in a run is replaced",
        )


def is_run(path: Path) -> bool:
    """Say whether a path is a run directory."""
    return (path / "config.yaml").is_file()


def at_work(path: Path) -> Path:
    """Return the run that a path is of: of a benchmark's folder, that of its baselines."""
    work = path / WORK
    return work if is_run(work) and not work.is_symlink() and not is_run(path) else path


def check_free(path: Path) -> None:
    """Refuse a run that cannot take one more job now.

    Raises:
        RunDirError: where another process owns it, or an unfinished job is kept in it.
    """
    with Run.extend(path):
        pass


def next_run(command: str, learner: str) -> Path:
    """Name the next free directory under `runs/`, e.g. `runs/discover-convnet-2`."""
    stem = "".join(c if c.isalnum() or c in "-._" else "-" for c in f"{command}-{learner}")
    number = 1
    while (path := Path("runs") / f"{stem}-{number}").exists():
        number += 1
    return path
