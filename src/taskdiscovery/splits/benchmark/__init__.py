"""A benchmark of anyone's data: training sets in which a task goes with the target, more and more,
and test sets in which it does and does not.
"""

from taskdiscovery.config.stress import STRENGTHS
from taskdiscovery.splits.benchmark.building import check_place
from taskdiscovery.splits.benchmark.checking import (
    check,
    is_benchmark,
    lacks_baselines,
    verify,
)
from taskdiscovery.splits.benchmark.contents import numbers_of
from taskdiscovery.splits.benchmark.files import add_baselines, check_same, write
from taskdiscovery.splits.benchmark.rows import Benchmark, Sizes, compose
from taskdiscovery.splits.benchmark.table import Baseline, Stressed
from taskdiscovery.splits.benchmark.unpacking import unpack

__all__ = [
    "STRENGTHS",
    "Baseline",
    "Benchmark",
    "Sizes",
    "Stressed",
    "add_baselines",
    "check",
    "check_place",
    "check_same",
    "compose",
    "is_benchmark",
    "lacks_baselines",
    "numbers_of",
    "unpack",
    "verify",
    "write",
]
