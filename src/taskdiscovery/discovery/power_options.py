"""Options of power iteration."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config import option
from taskdiscovery.discovery.ridge_options import RidgeOptions
from taskdiscovery.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PowerOptions(RidgeOptions):
    """How labels are iterated."""

    iterations: int = option(6, "power iterations at most", low=1, high=1000)
    tolerance: float = option(
        1.5,
        "stop when the angle by which the subspace turns settles to so many degrees",
        low=0.0,
        high=90.0,
    )
    start: str = option(
        "features",
        "what to start from: features of the untrained network, pixels, or noise",
        choices=("features", "pixels", "noise"),
    )
    targets: str = option(
        "squashed",
        "what is trained on: coordinates squashed towards two values, or the coordinates",
        choices=("squashed", "linear"),
    )
    average: int = option(
        1,
        "give the mean coordinates of so many last iterations, and then do all of --iterations; "
        "one more than these takes in the start",
        low=1,
        high=1001,
    )
    rotate: bool = option(
        True, "turn coordinates within their span so that each cuts the images in two clear groups"
    )
    folds: int = option(
        2, "folds of the cross-fitting, drawn anew in every iteration", low=2, high=100
    )
    runs: int = option(1, "trainings per fold whose predictions are averaged", low=1, high=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.average > self.iterations + 1:
            raise ConfigError(
                f"there are {self.iterations} iterations and a start to average",
                where=f"--average {self.average}",
                hint=f"at most {self.iterations + 1}, or more --iterations",
            )
