"""The run directory: every file appears whole or not at all, and one process owns it at a time.

Importable without torch, so that a damaged or occupied run is found before anything slow begins.
"""

from taskdiscovery.rundir.checkpoints import Checkpoints
from taskdiscovery.rundir.environment import environment
from taskdiscovery.rundir.run import RunDir, check_new
from taskdiscovery.rundir.verify import verify
from taskdiscovery.rundir.writing import atomic, write_json, write_parquet

__all__ = [
    "Checkpoints",
    "RunDir",
    "atomic",
    "check_new",
    "environment",
    "verify",
    "write_json",
    "write_parquet",
]
