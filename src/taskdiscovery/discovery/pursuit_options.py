"""Options of the pursuit of bimodal fixed points."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config import option
from taskdiscovery.discovery.ridge_options import RidgeOptions
from taskdiscovery.errors import ConfigError

#: classes of a task at most.
_CLASSES = 100


@dataclass(frozen=True, kw_only=True)
class PursuitOptions(RidgeOptions):
    """Where it begins, how long it goes on, and what is chosen."""

    cap: float = option(
        0.5,
        "correlation |φ| of two tasks at most; of more than two classes, their agreement beyond "
        "chance",
        low=0.0,
        high=1.0,
    )
    starts: int = option(
        430,
        "labelings to begin with; of more than two classes one for each 36 of these",
        low=60,
        high=100_000,
    )
    rounds: int = option(15, "times that labels are replaced by predictions", low=4, high=1000)
    bimodality: float | None = option(
        None,
        "share of a coordinate's variance between its two sides at least (default: more beyond "
        "that of a Gaussian than the same search finds on Gaussian features)",
        low=0.0,
        high=1.0,
    )
    sample: int = option(
        50_000,
        "search on so many training images at most; what is chosen is fitted to all",
        low=100,
        high=10_000_000,
    )
    warm_start: str = option(
        "",
        "begin also with the tasks of this run, which were found on features",
        metavar="RUN",
        names="place",
    )
    curve: tuple[float, float] | None = option(
        None,
        "measure how stable labelings of LOW to HIGH classes are, and propose a number of classes",
        metavar="LOW,HIGH",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.curve is not None:
            low, high = self.curve
            if not (low.is_integer() and high.is_integer() and low >= 2 and high <= _CLASSES):
                raise ConfigError(
                    f"--curve measures whole numbers of classes, got {low:g},{high:g}",
                    where="--curve",
                    hint=f"give two numbers from 2 to {_CLASSES}, e.g. --curve 2,12",
                )

    def strength(self, classes: int) -> float:
        """Return the strength of ridges for tasks of so many classes."""
        if self.ridge is None and classes > 2:
            return 0.3
        return super().strength(classes)
