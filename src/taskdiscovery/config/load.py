"""What a job will train: how much, from which decisions about workers follow; which networks."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config.learners import ResolvedLearner


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


@dataclass(frozen=True, kw_only=True)
class Use:
    """How a job uses a network.

    Attributes:
        learner: whose network it is.
        outputs: how many it is built with.
        encoder: whether it becomes an encoder, which labels any image alone as in a batch.
        set_last: whether the weights of its last linear layer are computed, not trained.
        option: that names the learner.
    """

    learner: ResolvedLearner
    outputs: int
    encoder: bool = False
    set_last: bool = False
    option: str = "--learner"
