"""A mark that lies wherever: letters, a time stamp, a sticker."""

from __future__ import annotations

import numpy as np

from taskdiscovery.auditing import statistics
from taskdiscovery.auditing.seen import PEAKS, Seen
from taskdiscovery.auditing.views.view import MODES, View
from taskdiscovery.types import IntArray
from taskdiscovery.types.audit import ARTEFACT


def _content(seen: Seen) -> IntArray:
    """What pictures of half the resolution show, and how they are lit."""
    return np.concatenate([seen.cells(half=True), seen.of(*statistics.LIGHT)])


VIEWS = (
    View(
        name="mark",
        kind=ARTEFACT,
        words="a mark at changing places (letters, a stamp, a sticker)",
        remedy="look at the pictures with the mark, and cover it or take others",
        own=lambda seen: seen.of(PEAKS),
        rest=_content,
        # The strongest responses of a picture tell content, too: only two heaps are evidence.
        tests=(MODES,),
    ),
)
