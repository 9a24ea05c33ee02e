"""Weights & Biases. Without a key it keeps everything on disk, for `wandb sync`."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from taskdiscovery.loggers.flat import plain
from taskdiscovery.loggers.libraries import require
from taskdiscovery.loggers.tracker import DONE, STOPPED, Tool, Tracker, group_of, title_of
from taskdiscovery.runtime.callbacks import JobInfo

_LOG = logging.getLogger("taskdiscovery")

#: the project when none is named, by this or by WANDB_PROJECT.
DEFAULT = "taskdiscovery"
_CODES = {DONE: 0, STOPPED: 130}


class WeightsBiases(Tracker):
    """Logs into a run of Weights & Biases; sittings of one job, and jobs of one run, are a group.

    Args:
        project: that the run belongs to.
        job: that is kept.
    """

    def __init__(self, project: str, job: JobInfo) -> None:
        import wandb

        self._run: Any = wandb.init(
            project=project,
            name=title_of(job),
            group=group_of(job) or None,
            job_type=job.command,
            config=plain(job.config),
            mode=_mode(wandb),
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
        )

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Log them."""
        self._run.log(dict(values), step=step)

    def result(self, values: Mapping[str, float], words: str) -> None:
        """Put them into the summary."""
        self._run.summary.update({**values, "result": words})

    def close(self, state: str, reason: str) -> None:
        """Finish the run."""
        self._run.summary.update({"state": state, "reason": reason})
        self._run.finish(exit_code=_CODES.get(state, 1))


def tool(where: str) -> Tool:
    """Return what logs to Weights & Biases.

    Args:
        where: the project.

    Raises:
        ConfigError: where wandb is not installed.
    """
    require("wandb")
    project = where or os.environ.get("WANDB_PROJECT") or DEFAULT
    return Tool(name="wandb", open=lambda job: WeightsBiases(project, job))


def _mode(wandb: Any) -> Any:
    """Say how it runs: as `WANDB_MODE` says, else offline where there is no key to log in with.

    wandb itself would ask for one, on a terminal, in the middle of a job.
    """
    if os.environ.get("WANDB_MODE"):
        return None
    if os.environ.get("WANDB_API_KEY") or _key(wandb):
        return "online"
    _LOG.warning("wandb has no key: logging offline (upload with: wandb sync wandb/offline-run-*)")
    return "offline"


def _key(wandb: Any) -> str:
    try:
        return str(wandb.Api().api_key or "")
    except Exception:  # it raises where there is none, of a kind that differs between releases
        return ""
