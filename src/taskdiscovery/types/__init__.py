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
from taskdiscovery.types.audit import Audit, Cue
from taskdiscovery.types.backbone import Backbone
from taskdiscovery.types.classes import class_codes
from taskdiscovery.types.comparison import Comparison
from taskdiscovery.types.dataset import Dataset
from taskdiscovery.types.detail import FEW, Detail, Part
from taskdiscovery.types.estimate import Estimate
from taskdiscovery.types.evaluation import Evaluation
from taskdiscovery.types.evidence import Evidence, Name
from taskdiscovery.types.info import ClassCount, Column, FileFact, Info
from taskdiscovery.types.labeling import Labeling
from taskdiscovery.types.record import Record
from taskdiscovery.types.scores import Interval, Score, Scores
from taskdiscovery.types.setup import Copies, Setup
from taskdiscovery.types.similarity import Similarity
from taskdiscovery.types.split import ROLES, TEST, TRAIN, WITHIN, Split
from taskdiscovery.types.tasks import Tasks

__all__ = [
    "FEW",
    "ROLES",
    "TEST",
    "TRAIN",
    "WITHIN",
    "Audit",
    "Backbone",
    "BoolArray",
    "ClassCount",
    "Column",
    "Comparison",
    "Copies",
    "Cue",
    "Dataset",
    "Detail",
    "Document",
    "Estimate",
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
    "Part",
    "Record",
    "Score",
    "Scores",
    "Setup",
    "Similarity",
    "Split",
    "Tasks",
    "class_codes",
]
