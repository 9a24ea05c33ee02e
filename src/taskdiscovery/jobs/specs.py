"""How tasks are named in a text: RUN[:TASK[,TASK]], FILE[:COLUMN], untrained:NETWORK."""

from __future__ import annotations

from pathlib import Path

UNTRAINED = "untrained:"
#: what stands for the run that a job adds to in its `status.json`; TASK may follow.
OWN = ":"


def split_run_task(text: str) -> tuple[Path | None, str]:
    """Read RUN, RUN:TASK or RUN:TASK,TASK; (None, "") where it is no run directory."""
    if text and Path(text).is_dir():
        return Path(text), ""
    run, colon, task = text.rpartition(":")
    if colon and run and Path(run).is_dir():
        return Path(run), task
    return None, ""


def task_names(text: str) -> list[str]:
    """Return the tasks that are named after RUN: one, or several between commas, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
