"""taskdiscovery: find the tasks that a network generalizes on, and the splits that break it.

    import taskdiscovery as td

    data = td.load("digits")                        # or arrays, a torch data set, a frame of paths
    found = td.discover(data, tasks=8)
    scores = td.score(data, found)
    broken = td.split(data, "label:0,1,2,3,4", found)
    evidence = td.analyze(data, found)
    td.report("report.html", data, found, scores, broken, evidence)

The names below are imported when they are first used, so that `import taskdiscovery` is quick.
"""

from __future__ import annotations

import importlib

# Nothing more is imported here: under `python -m` the working directory still stands first on the
# path, and may hold a `typing.py`. `__main__` takes it away.
TYPE_CHECKING = False

__version__ = "0.2.0"

if TYPE_CHECKING:
    from typing import Any

    from taskdiscovery.api import (
        analyze,
        audit,
        compare,
        discard,
        discover,
        embed,
        estimate,
        export,
        fit,
        info,
        label,
        load,
        load_fitted,
        open_run,
        plant,
        report,
        resume,
        score,
        split,
        stress,
    )
    from taskdiscovery.config import Learner, Recipe
    from taskdiscovery.data import from_arrays, from_torch
    from taskdiscovery.data.planting import Planted
    from taskdiscovery.discovery import Meta, Method, Power, Pursuit, Spectral
    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder
    from taskdiscovery.errors import (
        ConfigError,
        DataError,
        NumericalError,
        ResourceError,
        RunDirError,
        TaskDiscoveryError,
        WorkerError,
    )
    from taskdiscovery.loggers import logger
    from taskdiscovery.runtime.callbacks import Callback
    from taskdiscovery.runtime.progress_bar import ProgressBar
    from taskdiscovery.scikit import AdversarialSplit, DiscoverTasks
    from taskdiscovery.splits.benchmark import Stressed
    from taskdiscovery.store import Run
    from taskdiscovery.training.fitted import Fitted
    from taskdiscovery.types import (
        Audit,
        Comparison,
        Cue,
        Dataset,
        Estimate,
        Evaluation,
        Evidence,
        Info,
        Interval,
        Labeling,
        Score,
        Scores,
        Similarity,
        Split,
        Tasks,
    )

__all__ = [
    "AdversarialSplit",
    "Audit",
    "Callback",
    "Comparison",
    "ConfigError",
    "Cue",
    "DataError",
    "Dataset",
    "DiscoverTasks",
    "Discovery",
    "Encoder",
    "Estimate",
    "Evaluation",
    "Evidence",
    "FeatureEncoder",
    "Fitted",
    "Info",
    "Interval",
    "Labeling",
    "Learner",
    "Meta",
    "Method",
    "NumericalError",
    "Planted",
    "Power",
    "ProgressBar",
    "Pursuit",
    "Recipe",
    "ResourceError",
    "Run",
    "RunDirError",
    "Score",
    "Scores",
    "Similarity",
    "Spectral",
    "Split",
    "Stressed",
    "TaskDiscoveryError",
    "Tasks",
    "WorkerError",
    "analyze",
    "audit",
    "compare",
    "discard",
    "discover",
    "embed",
    "estimate",
    "export",
    "fit",
    "from_arrays",
    "from_torch",
    "info",
    "label",
    "load",
    "load_fitted",
    "logger",
    "open_run",
    "plant",
    "report",
    "resume",
    "score",
    "split",
    "stress",
]

_HOMES = {
    "api": "analyze audit compare discard discover embed estimate export fit info label load "
    "load_fitted open_run plant report resume score split stress",
    "config": "Learner Recipe",
    "data": "from_arrays from_torch",
    "data.planting": "Planted",
    "discovery": "Meta Method Power Pursuit Spectral",
    "encoders.discovery": "Discovery",
    "encoders.encoder": "Encoder",
    "encoders.linear": "FeatureEncoder",
    "errors": "ConfigError DataError NumericalError ResourceError RunDirError TaskDiscoveryError "
    "WorkerError",
    "loggers": "logger",
    "runtime.callbacks": "Callback",
    "runtime.progress_bar": "ProgressBar",
    "scikit": "AdversarialSplit DiscoverTasks",
    "splits.benchmark": "Stressed",
    "store": "Run",
    "training.fitted": "Fitted",
    "types": "Audit Comparison Cue Dataset Estimate Evaluation Evidence Info Interval Labeling "
    "Score Scores Similarity Split Tasks",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(f"taskdiscovery.{_HOME[name]}"), name)
    raise AttributeError(f"module 'taskdiscovery' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
