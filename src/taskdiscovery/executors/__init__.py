"""Who does the trainings of a job, where, and with what: decided once, opened and closed here."""

from taskdiscovery.executors.machine import (
    resolve_device,
    resolve_hardware,
    resolve_precision,
    resolve_training,
    resolve_work,
)
from taskdiscovery.executors.opening import workbench
from taskdiscovery.executors.serial import Serial

__all__ = [
    "Serial",
    "resolve_device",
    "resolve_hardware",
    "resolve_precision",
    "resolve_training",
    "resolve_work",
    "workbench",
]
