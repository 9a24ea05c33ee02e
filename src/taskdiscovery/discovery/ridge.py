"""Ridge regression in closed form.

Axes: R reduced features, S targets.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from taskdiscovery.types import FloatArray


def solve(gram_RR: FloatArray, cross_RS: FloatArray, rows: int, strength: float) -> FloatArray:
    """Return the (R, S) weights of a ridge: (XᵀX + λ n I)⁻¹ XᵀT.

    Args:
        gram_RR: XᵀX.
        cross_RS: XᵀT.
        rows: n.
        strength: λ.
    """
    penalized_RR = gram_RR + strength * rows * np.eye(len(gram_RR))
    weights_RS: FloatArray = linalg.solve(penalized_RR, cross_RS, assume_a="pos")
    return weights_RS
