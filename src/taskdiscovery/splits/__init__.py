"""The job of splitting: cut a labelled data set along a task so that a learner fails, and show by
controls that it is the cut that does it.
"""

from taskdiscovery.splits.controls import untrained_cut
from taskdiscovery.splits.cuts import Candidate, Cut, Sides
from taskdiscovery.splits.split import SplitResult, pieces, split

__all__ = ["Candidate", "Cut", "Sides", "SplitResult", "pieces", "split", "untrained_cut"]
