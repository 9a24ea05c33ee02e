"""Fourteen corruptions of whole pictures at three strengths: what befalls photographs in use."""

from taskdiscovery.data.corruptions.corrupting import CORRUPTIONS, corrupt, corrupted
from taskdiscovery.data.corruptions.corruption import STRENGTHS, Corruption

__all__ = ["CORRUPTIONS", "STRENGTHS", "Corruption", "corrupt", "corrupted"]
