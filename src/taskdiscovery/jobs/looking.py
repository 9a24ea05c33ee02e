"""Whether a job looks at features, where the caller does not say.

Features that stand alone are looked at; those beside images where nothing that looks at pixels is
asked for; and those that tasks were found on, where these tasks are scored or split along.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskdiscovery.config import OF_DATA, is_convex
from taskdiscovery.discovery import METHODS, Method
from taskdiscovery.errors import ConfigError, TaskDiscoveryError
from taskdiscovery.features import is_alone
from taskdiscovery.jobs.specs import split_run_task
from taskdiscovery.jobs.trust import Reach, data_of, reach_of
from taskdiscovery.store import Run
from taskdiscovery.types import Dataset, Document


def with_usual_features(data: Any, options: Mapping[str, Any], tasks: Any = None) -> Document:
    """Return the options of a job, with `features` where they are meant.

    Args:
        data: anything that `load` takes.
        options: by the names of the config; what is not given may lack.
        tasks: what is scored or split along: a run, its path, RUN:TASK, or what discover returned.
    """
    values = dict(options)
    if values.get("features"):
        return values
    beside = isinstance(data, Dataset) and data.features is not None
    if is_alone(data) or (beside and _may(values)):
        return {**values, "features": OF_DATA}
    learner = str(values.get("learner", "auto"))
    if (learner == "auto" or is_convex(learner)) and (known := features_of(tasks, data)):
        return {**values, "features": known}
    return values


def with_features_beside(data: Any, options: Mapping[str, Any], tasks: Any = None) -> Document:
    """As `with_usual_features`, for a job whose learner looks at pixels whatever it is called."""
    found = with_usual_features(data, {**options, "learner": "auto"}, tasks)
    kept = {"learner": options["learner"]} if "learner" in options else {}
    return {k: v for k, v in found.items() if k != "learner"} | kept


def own_data(data: Any, tasks: Any) -> Any:
    """Return DATA, or that of the run whose tasks are named, where it is left out.

    Args:
        data: anything that `load` takes, or None.
        tasks: what is scored or split along: a run, its path, RUN:TASK.

    Raises:
        ConfigError: where no run is named.
        RunDirError: where the run names none, or what the caller has to name again.
    """
    if data is not None:
        return data
    if isinstance(tasks, str | Path):
        path, _ = split_run_task(str(tasks))
        tasks = None if path is None else Run.open(path)
    if not isinstance(tasks, Run):
        raise ConfigError(
            "no data is given, and no run that names its own",
            where="data",
            hint="give the data; or tasks of a run, whose data is taken",
        )
    return data_of(tasks, tasks.config, "DATA")


def _may(options: Mapping[str, Any]) -> bool:
    """Say whether options leave it open what is looked at, or ask for features."""
    learner, method = options.get("learner", "auto"), options.get("method", "auto")
    kind = METHODS.get(method) if isinstance(method, str) else method
    if kind is not None and kind.needs_features:
        return True
    pixels = isinstance(method, Method) or method != "auto"
    return is_convex(str(learner)) or (learner == "auto" and not pixels)


def features_of(tasks: Any, data: Any) -> str:
    """Return the features that tasks were found on, where they can be had again; else nothing.

    Those of a backbone can; a table only with its own images, and where this user's own run names
    it.

    Args:
        tasks: a run, its path, RUN:TASK, or what discover returned.
        data: DATA that they would stand beside; None for the run's own.
    """
    try:
        if isinstance(tasks, str | Path):
            path, _ = split_run_task(str(tasks))
            tasks = None if path is None else Run.open(path)
        config = getattr(tasks, "config", None)
    except TaskDiscoveryError:  # which the job tells of
        return ""
    if not isinstance(config, Mapping):
        return ""
    named = str(config.get("features") or "")
    if not named or named == OF_DATA:
        return ""
    if reach_of("features", named) is Reach.INSIDE:
        return named
    own = data is None or str(data) == str(config.get("data"))
    ours = not isinstance(tasks, Run) or tasks.is_ours(config)
    return named if own and ours else ""
