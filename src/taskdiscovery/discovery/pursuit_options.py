"""Options of the pursuit of bimodal fixed points."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config import option
from taskdiscovery.discovery.ridge_options import RidgeOptions


@dataclass(frozen=True, kw_only=True)
class PursuitOptions(RidgeOptions):
    """Where it begins, how long it goes on, and what is chosen."""

    cap: float = option(0.5, "correlation |φ| of two tasks at most", low=0.0, high=1.0)
    starts: int = option(430, "labelings to begin with", low=60, high=100_000)
    rounds: int = option(15, "times that labels are replaced by predictions", low=4, high=1000)
    bimodality: float | None = option(
        None,
        "share of a coordinate's variance between its two sides at least (default: what the same "
        "search finds on Gaussian features of the same variances, and a margin)",
        low=0.0,
        high=1.0,
    )
    sample: int = option(
        50_000,
        "search on so many training images at most; what is chosen is fitted to all",
        low=100,
        high=10_000_000,
    )
