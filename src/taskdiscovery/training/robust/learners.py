"""The learners by name; adding one is adding a function and a row."""

from __future__ import annotations

from collections.abc import Callable

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Images
from taskdiscovery.training.loop import Hooks
from taskdiscovery.training.robust.last_layer import last_layer
from taskdiscovery.training.robust.problem import Problem
from taskdiscovery.training.robust.twice import first_training, train_twice
from taskdiscovery.training.robust.weighed import (
    class_reweighting,
    erm,
    group_dro,
    group_reweighting,
)

#: each trains the network of a problem, and returns it in evaluation mode.
Robust = Callable[[Problem, Images, Hooks], Model]

ROBUST: dict[str, Robust] = {
    "erm": erm,
    "class reweighting": class_reweighting,
    "group reweighting": group_reweighting,
    "group dro": group_dro,
    "jtt": train_twice,
    "last layer": last_layer,
}


def passes(name: str, problem: Problem) -> int:
    """Return how many images pass through networks while a learner of `ROBUST` trains."""
    first = first_training(problem).passes if name == "jtt" else 0
    return first + problem.training.passes


def learner_named(name: str) -> Robust:
    """Return a learner.

    Raises:
        ConfigError: for an unknown name.
    """
    if name not in ROBUST:
        raise ConfigError(f"there is no robust learner {name!r}", hint=nearest(name, ROBUST))
    return ROBUST[name]
