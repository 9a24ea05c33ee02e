"""`discard`: give up the unfinished job of a run; all that was committed stays."""

from __future__ import annotations

from pathlib import Path

from taskdiscovery import errors
from taskdiscovery.errors import RunDirError
from taskdiscovery.jobs.sink import KINDS, at_work
from taskdiscovery.store import Run
from taskdiscovery.store.layout import REPORT


def run(path: Path, *, whole: bool) -> str:
    """Give up the job that was started last, where it is not finished.

    Args:
        path: of the run directory, or of a benchmark whose baselines are not finished.
        whole: whether to remove the run itself, where the job that was to make it never finished.

    Returns:
        What was done, in a line.

    Raises:
        RunDirError: where another process is at work; where the job that was to make the run never
            finished and `whole` is not given; where it is given, and results were committed.
    """
    path = at_work(path)
    with Run.open(path, write=True) as opened:
        command = str(opened.job["command"])
        if opened.state == "done":
            return f"nothing to discard: {command} is done"
        committed = opened.committed()
        if opened.job.get("added"):
            kind, name = KINDS.get(command, ""), str(opened.job["config"].get("name") or "")
            kept = any(file.startswith(f"{kind}/{name}/") for file in committed)
            if kind and name and not kept:
                opened.drop(kind, name)
            opened.give_up(command)
            return f"{command} was finished, and is kept" if kept else f"{command} is discarded"
        if not whole:
            raise RunDirError(
                f"the {command} that is to make this run never finished: nothing else is in it",
                where=str(path),
                hint=f"go on with: {errors.command('resume', path)}; or remove the run: "
                f"{errors.command('discard', path, '--all')}",
            )
        if committed - {REPORT}:
            raise RunDirError(
                f"the run holds results: {', '.join(sorted(committed)[:3])}",
                where=str(path),
                hint="nothing that was committed is discarded; remove the directory yourself",
            )
        opened.remove_whole()
    left = "; what others put there is left" if path.exists() else ""
    return f"the run is removed{left}"
