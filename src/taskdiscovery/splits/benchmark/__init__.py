"""A benchmark of anyone's data: training sets in which a task goes with the target, more and more,
and test sets in which it does and does not.
"""

from taskdiscovery.splits.benchmark.files import check, write
from taskdiscovery.splits.benchmark.rows import STRENGTHS, Benchmark, Sizes, compose

__all__ = ["STRENGTHS", "Benchmark", "Sizes", "check", "compose", "write"]
