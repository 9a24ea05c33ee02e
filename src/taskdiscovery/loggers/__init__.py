"""Trackers of experiments as callbacks: `--log KIND`, or `callbacks=[td.logger("KIND")]`."""

from taskdiscovery.loggers.callback import Logger
from taskdiscovery.loggers.opening import KINDS, logger

__all__ = ["KINDS", "Logger", "logger"]
