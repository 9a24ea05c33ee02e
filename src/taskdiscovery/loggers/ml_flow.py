"""MLflow: a tracking server, or a file of SQLite."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from taskdiscovery.errors import ResourceError, first_line
from taskdiscovery.loggers.flat import options_of
from taskdiscovery.loggers.libraries import require
from taskdiscovery.loggers.tracker import DONE, STOPPED, Tool, Tracker, group_of, title_of
from taskdiscovery.runtime.callbacks import JobInfo

#: where runs are kept when no place is named, by this or by MLFLOW_TRACKING_URI.
DEFAULT = "sqlite:///mlflow.db"
EXPERIMENT = "taskdiscovery"
_STATES = {DONE: "FINISHED", STOPPED: "KILLED"}
#: what MLflow takes at once, and of a text.
_BATCH, _LENGTH = 100, 500


class MLflow(Tracker):
    """Logs into a run of MLflow, by a client of its own: the caller's active run is left alone.

    Args:
        client: of the tracking server.
        experiment: that the run belongs to.
        job: that is kept.
    """

    def __init__(self, client: Any, experiment: str, job: JobInfo) -> None:
        from mlflow.entities import Param

        self._client = client
        tags = {"command": job.command, "mlflow.source.name": "taskdiscovery"}
        if group := group_of(job):
            tags["run"] = group
        made = client.create_run(experiment, tags=tags, run_name=title_of(job))
        self._run = made.info.run_id
        options = options_of(job.config).items()
        rows = [Param(_key(key), value[:_LENGTH]) for key, value in options]
        for i in range(0, len(rows), _BATCH):
            client.log_batch(self._run, params=rows[i : i + _BATCH])

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Log metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        rows = [Metric(_key(name), value, now, step) for name, value in values.items()]
        for i in range(0, len(rows), _BATCH):
            self._client.log_batch(self._run, metrics=rows[i : i + _BATCH])

    def result(self, values: Mapping[str, float], words: str) -> None:
        """Log metrics, and a tag."""
        self.numbers(values, 0)
        self._client.set_tag(self._run, "result", words[:_LENGTH])

    def close(self, state: str, reason: str) -> None:
        """End the run."""
        if reason:
            self._client.set_tag(self._run, "reason", reason[:_LENGTH])
        self._client.set_terminated(self._run, _STATES.get(state, "FAILED"))


def tool(where: str) -> Tool:
    """Return what logs to MLflow.

    Args:
        where: address of the tracking server, or `sqlite:///FILE`.

    Raises:
        ConfigError: where MLflow is not installed.
        ResourceError: where the server does not answer, or the file cannot be used.
    """
    require("mlflow")
    address = where or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(tracking_uri=address)
        known = client.get_experiment_by_name(EXPERIMENT)
        own = client.create_experiment(EXPERIMENT) if known is None else known.experiment_id
    except Exception as error:
        raise ResourceError(
            f"MLflow cannot be used: {first_line(error)}",
            where=address,
            hint="give a server that answers, or a file: --log mlflow:sqlite:///FILE.db",
        ) from error
    return Tool(name="mlflow", open=lambda job: MLflow(client, own, job))


def _key(name: str) -> str:
    """Return a name as MLflow takes it."""
    return re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII)[:250]
