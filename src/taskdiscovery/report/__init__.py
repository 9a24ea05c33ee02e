"""The report of a run: one HTML file that opens offline and asks for nothing."""

from taskdiscovery.report.write import write_report

__all__ = ["write_report"]
