"""Values that cross the border between modules: `Dataset`, `Tasks`, `Score`, `Split`."""

from taskdiscovery.types.aliases import (
    BoolArray,
    Float32,
    FloatArray,
    IdArray,
    ImageArray,
    IntArray,
)
from taskdiscovery.types.dataset import Dataset, Target, target_from_values
from taskdiscovery.types.scores import Interval, Score, Scores
from taskdiscovery.types.split import TEST, TRAIN, WITHIN, Split
from taskdiscovery.types.tasks import Tasks

__all__ = [
    "TEST",
    "TRAIN",
    "WITHIN",
    "BoolArray",
    "Dataset",
    "Float32",
    "FloatArray",
    "IdArray",
    "ImageArray",
    "IntArray",
    "Interval",
    "Score",
    "Scores",
    "Split",
    "Target",
    "Tasks",
    "target_from_values",
]
