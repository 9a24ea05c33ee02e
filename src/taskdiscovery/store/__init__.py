"""The run directory: every file appears whole or not at all, and one process owns it at a time.

Importable without torch, so that a damaged or occupied run is found before anything slow begins.
"""

from taskdiscovery.store.checkpoints import Checkpoints
from taskdiscovery.store.environment import environment
from taskdiscovery.store.files import check_new
from taskdiscovery.store.run import Run
from taskdiscovery.store.verify import verify
from taskdiscovery.store.writing import atomic, write_json, write_parquet

__all__ = [
    "Checkpoints",
    "Run",
    "atomic",
    "check_new",
    "environment",
    "verify",
    "write_json",
    "write_parquet",
]
