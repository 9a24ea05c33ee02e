"""Pages of one HTML file each, that open offline and ask for nothing."""

from taskdiscovery.reporting.auditpage import audit_page
from taskdiscovery.reporting.datapage import write_data_page
from taskdiscovery.reporting.estimatepage import estimate_page
from taskdiscovery.reporting.write import write_report, write_report_of_run, write_report_of_two

__all__ = [
    "audit_page",
    "estimate_page",
    "write_data_page",
    "write_report",
    "write_report_of_run",
    "write_report_of_two",
]
