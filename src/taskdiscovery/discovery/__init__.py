"""Discovery: images and a learner in, tasks that it generalizes on out."""

from taskdiscovery.discovery.encoder import Encoder
from taskdiscovery.discovery.search import Discovery, discover, resolve

__all__ = ["Discovery", "Encoder", "discover", "resolve"]
