"""Intervals of a least-squares fit that hold the truth whatever the distribution.

Full conformal prediction (Vovk et al., 2005; Lei et al., JASA 2018): where the points that were
fitted and the one that is asked about are exchangeable, the interval holds its value with at least
the stated probability, for any number of points and any distribution. Leave-one-out residuals
describe how far a fit misses; as an interval around a prediction of the full fit they have no such
guarantee (Barber et al., Annals of Statistics 2021).

Axes: L points of known value, Y candidate values.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.types import FloatArray

_CANDIDATES = 2001


def interval(
    kept_LL: FloatArray, values_L: FloatArray, predicted: float, offset: float, level: float
) -> tuple[float, float]:
    """Return accuracies between which the truth lies with probability `level` or more.

    A candidate is kept unless its residual is among the greatest of a fit to it, too.

    Args:
        kept_LL: (L + 1, L + 1) takes values to residuals of their fit; the last is asked about.
        values_L: what was fitted.
        predicted: by the fit without the one that is asked about, where no candidate is kept.
        offset: accuracy less value, of the one that is asked about.
        level: coverage, over draws of all L + 1.

    Raises:
        DataError: where no set smaller than everything can have the coverage.
    """
    L = len(values_L)
    require_enough(L, level)
    accuracies_Y = np.linspace(0, 1, _CANDIDATES)
    fixed_L = kept_LL[:, :L] @ values_L
    misses_LY = np.abs(fixed_L[:, None] + kept_LL[:, L:] * (accuracies_Y - offset))
    rank_Y = (misses_LY >= misses_LY[-1] - 1e-12).mean(axis=0)
    inside_Y = accuracies_Y[rank_Y > 1 - level + 1e-12]
    if len(inside_Y) == 0:  # it lies between two candidates
        inside_Y = np.array([predicted])
    step = 1 / (_CANDIDATES - 1)
    return max(0.0, float(inside_Y.min()) - step), min(1.0, float(inside_Y.max()) + step)


def quantile(misses_L: FloatArray, level: float) -> float:
    """Return the absolute miss that another one is within with probability `level` or more.

    Raises:
        DataError: for too few misses.
    """
    L = len(misses_L)
    require_enough(L, level)
    return float(np.sort(np.abs(misses_L))[int(np.ceil((L + 1) * level - 1e-9)) - 1])


def require_enough(residuals: int, level: float) -> None:
    """Refuse so few residuals that only the interval of everything has the coverage.

    Raises:
        DataError: for fewer than level/(1 - level) residuals: 9 for 90 %, 19 for 95 %.
    """
    least = int(np.ceil(level / (1 - level) - 1e-9))
    if residuals < least:
        raise DataError(
            f"an interval of {level:.0%} needs {least} labelings or domains of known accuracy, "
            f"got {residuals}",
            hint="give more of them, or ask for a lower level",
        )
