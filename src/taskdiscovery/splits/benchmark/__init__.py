"""A benchmark of anyone's data: training sets in which a task goes with the target, more and more,
and test sets in which it does and does not.
"""

from taskdiscovery.config.stress import STRENGTHS
from taskdiscovery.splits.benchmark.files import (
    add_baselines,
    check,
    check_same,
    lacks_baselines,
    write,
)
from taskdiscovery.splits.benchmark.rows import Benchmark, Sizes, compose
from taskdiscovery.splits.benchmark.table import Baseline, Stressed

__all__ = [
    "STRENGTHS",
    "Baseline",
    "Benchmark",
    "Sizes",
    "Stressed",
    "add_baselines",
    "check",
    "check_same",
    "compose",
    "lacks_baselines",
    "write",
]
