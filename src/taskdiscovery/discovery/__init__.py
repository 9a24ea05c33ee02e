"""Discovery: images and a learner in, tasks that it generalizes on out.

The methods and their options are importable without torch.
"""

from taskdiscovery.discovery.config import DiscoverConfig
from taskdiscovery.discovery.meta.method import Meta
from taskdiscovery.discovery.method import Method
from taskdiscovery.discovery.methods import METHODS
from taskdiscovery.discovery.power import Power
from taskdiscovery.discovery.pursuit import Pursuit
from taskdiscovery.discovery.spectral import Spectral

__all__ = ["METHODS", "DiscoverConfig", "Meta", "Method", "Power", "Pursuit", "Spectral"]
