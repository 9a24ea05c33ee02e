"""What does a task mean? Measured evidence for each task of a run, never more than it carries."""

from taskdiscovery.analysis.associations import associate, factor_table
from taskdiscovery.analysis.evidence import Evidence, analyze
from taskdiscovery.analysis.probes import PROBES, flips
from taskdiscovery.analysis.verdict import verdict

__all__ = ["PROBES", "Evidence", "analyze", "associate", "factor_table", "flips", "verdict"]
