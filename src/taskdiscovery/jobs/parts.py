"""Groups and partition of a discovery, taken over where its own data is read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from taskdiscovery.config import JobConfig, ReadConfig
from taskdiscovery.data.labels.targets import is_target_spec
from taskdiscovery.data.loading import spec_of
from taskdiscovery.errors import TaskDiscoveryError
from taskdiscovery.jobs.specs import split_run_task
from taskdiscovery.jobs.trust import test_of
from taskdiscovery.store import Run

C = TypeVar("C", bound=ReadConfig)


def with_parts(config: C, given: Any, data: Any) -> C:
    """Return options with the groups and the partition of a discovery, where its own data is read.

    Args:
        config: as given; what it says itself stands.
        given: a `Run`, its path or RUN:TASK, or what `discover` returned; else nothing is done.
        data: what is read, as `load` takes it; None for the data of the run.

    Raises:
        RunDirError: where a run from elsewhere names images to measure on that the caller has not.
    """
    if isinstance(given, str | Path):
        path, _ = (None, "") if is_target_spec(str(given)) else split_run_task(str(given))
        given = None if path is None else Run.open(path)
    known = getattr(given, "config", None)
    if not isinstance(known, Mapping):
        return config
    if data is not None and not _is_named(data, str(known.get("data"))):
        return config
    config = replace(config, groups=config.groups or str(known.get("groups") or ""))
    if not isinstance(config, JobConfig) or config.test:
        return config
    test = test_of(given, known) if isinstance(given, Run) else str(known.get("test") or "")
    return replace(config, test=test)


def _is_named(data: Any, name: str) -> bool:
    """Say whether data is what a run calls its own."""
    if not isinstance(data, str | Path):
        return False
    try:
        return name in (str(data), spec_of(data).text)
    except TaskDiscoveryError:  # which reading it tells of
        return False
