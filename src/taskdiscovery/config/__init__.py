"""What people can set: one frozen dataclass a job, each field an option with its help.

The command line, `config.yaml` and the Python calls all read these classes, so a name means the
same in all three. Nothing here imports torch: mistakes are found before anything slow begins.
"""

from __future__ import annotations

from taskdiscovery.config.discover import DiscoverConfig
from taskdiscovery.config.measure import (
    CONTROL_NAMES,
    VARIED,
    AnalyzeConfig,
    ScoreConfig,
    SplitConfig,
    TrainingConfig,
)
from taskdiscovery.config.options import (
    JobConfig,
    WorkConfig,
    base_type,
    flag_of,
    from_mapping,
    key_of,
    read_config,
    to_mapping,
)
from taskdiscovery.config.recipes import PRESETS, Preset, Recipe

__all__ = [
    "CONFIGS",
    "CONTROL_NAMES",
    "PRESETS",
    "VARIED",
    "AnalyzeConfig",
    "DiscoverConfig",
    "JobConfig",
    "Preset",
    "Recipe",
    "ScoreConfig",
    "SplitConfig",
    "TrainingConfig",
    "WorkConfig",
    "base_type",
    "flag_of",
    "from_mapping",
    "key_of",
    "read_config",
    "to_mapping",
]

#: the config class of each job.
CONFIGS: dict[str, type[JobConfig]] = {
    "discover": DiscoverConfig,
    "score": ScoreConfig,
    "split": SplitConfig,
    "analyze": AnalyzeConfig,
}
