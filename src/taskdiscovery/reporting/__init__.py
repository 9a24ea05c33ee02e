"""The report: one HTML file that opens offline and asks for nothing."""

from taskdiscovery.reporting.write import write_report, write_report_of_run

__all__ = ["write_report", "write_report_of_run"]
