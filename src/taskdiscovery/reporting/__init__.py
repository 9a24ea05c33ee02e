"""Pages of one HTML file each, that open offline and ask for nothing."""

from taskdiscovery.reporting.datapage import write_data_page
from taskdiscovery.reporting.write import write_report, write_report_of_run

__all__ = ["write_data_page", "write_report", "write_report_of_run"]
