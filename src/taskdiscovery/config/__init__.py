"""What people can set: one frozen dataclass a job, each field an option with its help.

The command line, `config.yaml` and the Python calls all read these classes, so a name means the
same in all three. Nothing here imports torch: mistakes are found before anything slow begins.
`discover` and its methods have theirs beside the methods, in `taskdiscovery.discovery`.
"""

from __future__ import annotations

from taskdiscovery.config.audit import AuditConfig
from taskdiscovery.config.estimate import EstimateConfig
from taskdiscovery.config.files import from_mapping, part_of, read_config, words_of
from taskdiscovery.config.learners import (
    Factory,
    Learner,
    Network,
    ResolvedLearner,
    check_learner,
    is_convex,
    learner_of,
    name_of,
    takes_features,
)
from taskdiscovery.config.load import Load, Use
from taskdiscovery.config.measure import (
    CONTROLS,
    VARIED,
    AnalyzeConfig,
    CompareConfig,
    EmbedConfig,
    FitConfig,
    LabelConfig,
    PlantConfig,
    ScoreConfig,
    SplitConfig,
    TrainingConfig,
)
from taskdiscovery.config.options import (
    OF_DATA,
    DataConfig,
    JobConfig,
    Options,
    ReadConfig,
    WorkConfig,
    flag_of,
    key_of,
    option,
    options,
    to_mapping,
)
from taskdiscovery.config.recipes import PRESETS, Preset, Recipe, TrainingRecipe
from taskdiscovery.config.stress import StressConfig

__all__ = [
    "CONTROLS",
    "OF_DATA",
    "PRESETS",
    "VARIED",
    "AnalyzeConfig",
    "AuditConfig",
    "CompareConfig",
    "DataConfig",
    "EmbedConfig",
    "EstimateConfig",
    "Factory",
    "FitConfig",
    "JobConfig",
    "LabelConfig",
    "Learner",
    "Load",
    "Network",
    "Options",
    "PlantConfig",
    "Preset",
    "ReadConfig",
    "Recipe",
    "ResolvedLearner",
    "ScoreConfig",
    "SplitConfig",
    "StressConfig",
    "TrainingConfig",
    "TrainingRecipe",
    "Use",
    "WorkConfig",
    "check_learner",
    "flag_of",
    "from_mapping",
    "is_convex",
    "key_of",
    "learner_of",
    "name_of",
    "option",
    "options",
    "part_of",
    "read_config",
    "takes_features",
    "to_mapping",
    "words_of",
]
