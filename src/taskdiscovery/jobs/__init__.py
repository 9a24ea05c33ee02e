"""Jobs: what is asked for in, values out, and a run directory where one is wanted. One verb a file.

Importable without torch, so that mistakes are found before anything slow begins.
"""

from __future__ import annotations

from taskdiscovery.config import (
    AnalyzeConfig,
    AuditConfig,
    CompareConfig,
    EmbedConfig,
    EstimateConfig,
    FitConfig,
    LabelConfig,
    Options,
    PlantConfig,
    ScoreConfig,
    SplitConfig,
    StressConfig,
)
from taskdiscovery.discovery import DiscoverConfig

#: the options of each command that has some of its own.
CONFIGS: dict[str, type[Options]] = {
    "discover": DiscoverConfig,
    "score": ScoreConfig,
    "split": SplitConfig,
    "audit": AuditConfig,
    "analyze": AnalyzeConfig,
    "compare": CompareConfig,
    "label": LabelConfig,
    "embed": EmbedConfig,
    "fit": FitConfig,
    "estimate": EstimateConfig,
    "plant": PlantConfig,
    "stress": StressConfig,
}
