"""Who does the trainings of a job, where, and with what: decided once, opened and closed here."""

from taskdiscovery.executors.machine import (
    resolve_device,
    resolve_hardware,
    resolve_precision,
    resolve_training,
    resolve_work,
    shape_of,
)
from taskdiscovery.executors.opening import inputs_of, looking_at, workbench
from taskdiscovery.executors.serial import Serial

__all__ = [
    "Serial",
    "inputs_of",
    "looking_at",
    "resolve_device",
    "resolve_hardware",
    "resolve_precision",
    "resolve_training",
    "resolve_work",
    "shape_of",
    "workbench",
]
