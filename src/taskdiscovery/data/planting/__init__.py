"""Cues planted into anyone's images, with the truth beside them: what an audit ought to find."""

from taskdiscovery.data.planting.cue import Cue
from taskdiscovery.data.planting.planting import CUES, Planted, plant

__all__ = ["CUES", "Cue", "Planted", "plant"]
