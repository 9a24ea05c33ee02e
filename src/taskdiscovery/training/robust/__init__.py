"""Learners that resist shortcuts, built on the one update step and its loop."""

from taskdiscovery.training.robust.learners import ROBUST, Robust, learner_named, passes
from taskdiscovery.training.robust.problem import (
    ByGroup,
    Held,
    Problem,
    Settings,
    by_group,
    by_group_of,
)
from taskdiscovery.training.robust.tuning import GRIDS, Tuned, choose

__all__ = [
    "GRIDS",
    "ROBUST",
    "ByGroup",
    "Held",
    "Problem",
    "Robust",
    "Settings",
    "Tuned",
    "by_group",
    "by_group_of",
    "choose",
    "learner_named",
    "passes",
]
