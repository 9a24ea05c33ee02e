"""On which images does a view tell the class, and on which another?

Axes: n labelled images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from taskdiscovery.auditing.presence import Finding, heaped
from taskdiscovery.types import FloatArray, IntArray

#: how sure it must be which side an image is on.
_SURE = 0.9


@dataclass(frozen=True, eq=False, kw_only=True)
class Sides:
    """Positions among the labelled images, the clearest first.

    Attributes:
        aligned: where the view tells the class.
        conflict: where it tells another.
        heaps: whether two heaps tell it: only then it is known image by image. Images that a view
            gets wrong otherwise are hard ones, which networks get wrong, too.
    """

    aligned: IntArray
    conflict: IntArray
    heaps: bool


def sides(finding: Finding) -> Sides:
    """Tell both sides: by two heaps where there are two, else by what the view alone says.

    Args:
        finding: of a view and a class.
    """
    share_n = special.expit(np.clip(finding.logits_n, -30, 30))
    known = finding.heaps is not None and heaped(finding.heaps)
    if finding.heaps is not None and known:
        low, high = finding.heaps.shares
        upper_n = finding.heaps.upper_N
        share_n = upper_n if high > low else 1 - upper_n
    labels_n = finding.labels_n
    own_n: FloatArray = np.where(labels_n, share_n, 1 - share_n)
    order = np.argsort(-own_n, kind="stable")
    aligned = order[own_n[order] >= _SURE]
    conflict = order[::-1]
    return Sides(aligned=aligned, conflict=conflict[own_n[conflict] <= 1 - _SURE], heaps=known)
