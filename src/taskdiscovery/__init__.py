"""taskdiscovery: find the tasks that a network generalizes on, and the splits that break it.

    import taskdiscovery as td

    dataset = td.load("digits")
    found = td.discover(dataset, tasks=8)
    scores = td.score(dataset, found.tasks)
    broken = td.split(dataset, "label:0,1,2,3,4", "untrained:convnet")

The names below are imported when they are first used, so that `import taskdiscovery` is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from taskdiscovery.analysis import Evidence
    from taskdiscovery.data import from_arrays, from_torch, load
    from taskdiscovery.discovery import Discovery, Encoder
    from taskdiscovery.errors import TaskDiscoveryError
    from taskdiscovery.jobs import analyze, discover, label, load_tasks, resume, score, split
    from taskdiscovery.report import write_report
    from taskdiscovery.types import Dataset, Interval, Score, Scores, Split, Target, Tasks

_HOMES = {
    "analyze": "jobs",
    "Evidence": "analysis",
    "Dataset": "types",
    "Discovery": "discovery",
    "Encoder": "discovery",
    "Interval": "types",
    "Score": "types",
    "Scores": "types",
    "Split": "types",
    "Target": "types",
    "TaskDiscoveryError": "errors",
    "Tasks": "types",
    "discover": "jobs",
    "from_arrays": "data",
    "from_torch": "data",
    "label": "jobs",
    "load": "data",
    "load_tasks": "jobs",
    "resume": "jobs",
    "score": "jobs",
    "split": "jobs",
    "write_report": "report",
}

__all__ = [
    "Dataset",
    "Discovery",
    "Encoder",
    "Evidence",
    "Interval",
    "Score",
    "Scores",
    "Split",
    "Target",
    "TaskDiscoveryError",
    "Tasks",
    "analyze",
    "discover",
    "from_arrays",
    "from_torch",
    "label",
    "load",
    "load_tasks",
    "resume",
    "score",
    "split",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"taskdiscovery.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'taskdiscovery' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
