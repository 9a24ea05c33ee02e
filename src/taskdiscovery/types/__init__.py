"""Values that cross the border between modules, and how they show in a notebook."""

from taskdiscovery.types.aliases import (
    BoolArray,
    Document,
    Float32,
    FloatArray,
    IdArray,
    ImageArray,
    IntArray,
    Matrix,
)
from taskdiscovery.types.backbone import Backbone
from taskdiscovery.types.classes import class_codes
from taskdiscovery.types.comparison import Comparison
from taskdiscovery.types.dataset import Dataset
from taskdiscovery.types.evaluation import Evaluation
from taskdiscovery.types.evidence import Evidence, Name
from taskdiscovery.types.info import ClassCount, Column, FileFact, Info
from taskdiscovery.types.labeling import Labeling
from taskdiscovery.types.record import Record
from taskdiscovery.types.scores import Interval, Score, Scores
from taskdiscovery.types.split import ROLES, TEST, TRAIN, WITHIN, Copies, Setup, Split
from taskdiscovery.types.tasks import Tasks

__all__ = [
    "ROLES",
    "TEST",
    "TRAIN",
    "WITHIN",
    "Backbone",
    "BoolArray",
    "ClassCount",
    "Column",
    "Comparison",
    "Copies",
    "Dataset",
    "Document",
    "Evaluation",
    "Evidence",
    "FileFact",
    "Float32",
    "FloatArray",
    "IdArray",
    "ImageArray",
    "Info",
    "IntArray",
    "Interval",
    "Labeling",
    "Matrix",
    "Name",
    "Record",
    "Score",
    "Scores",
    "Setup",
    "Split",
    "Tasks",
    "class_codes",
]
