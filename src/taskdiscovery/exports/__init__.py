"""What was found, in the forms of other tools; their libraries are not needed to write them."""

from taskdiscovery.exports.writing import FORMS, write_export, write_export_of_run

__all__ = ["FORMS", "write_export", "write_export_of_run"]
