"""How much a job will train: what decisions about workers and threads follow from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Load:
    """What a job will train.

    Attributes:
        trainings: that can be done at once.
        passes: images that pass in each.
        rounds: how many times so many trainings are to be done.
    """

    trainings: int = 1
    passes: int = 0
    rounds: int = 1
