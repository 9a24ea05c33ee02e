"""Splits and tasks in scikit-learn's forms: a splitter, and a transformer of features."""

from taskdiscovery.scikit.splitter import AdversarialSplit
from taskdiscovery.scikit.transformer import DiscoverTasks

__all__ = ["AdversarialSplit", "DiscoverTasks"]
