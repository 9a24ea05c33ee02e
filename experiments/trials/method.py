"""A search of `power`, with one thing done otherwise.

Axes: N training images, D tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

import taskdiscovery as td
from experiments.trials import parts
from taskdiscovery.config import option
from taskdiscovery.discovery.fitting import fit_encoder
from taskdiscovery.discovery.iteration import start
from taskdiscovery.discovery.targets import soft_targets
from taskdiscovery.types import Float32

if TYPE_CHECKING:
    from taskdiscovery.discovery.problem import Found, Problem

#: how many trainings of all tasks together a trial has, unless that is what it changes.
ROUNDS = 6
#: mean similarity within which the best of a pool are chosen.
POOLED = 0.518


@dataclass(frozen=True, kw_only=True)
class Trial(td.Power):
    """Power iteration, tried otherwise."""

    name: ClassVar[str] = "trial"
    about: ClassVar[str] = "power iteration, tried otherwise"

    way: str = option("squashed", "what is tried")

    def search(self, problem: Problem) -> Found:
        """Find coordinates in the way of this trial, and fit an encoder to them."""
        bench = problem.workbench
        with bench.callbacks.stage("a trial", 1.0) as meter:
            trainer = parts.Trainer(problem=problem, options=self, meter=meter)
            coordinates_ND = WAYS[self.way](self, problem, trainer)
        found = fit_encoder(problem, coordinates_ND)
        return replace(found, numbers={"way": self.way, **found.numbers})


Way = Callable[[Trial, "Problem", parts.Trainer], Float32]


def _squashed(own: Trial, problem: Problem, trainer: parts.Trainer, first: int = 0) -> Float32:
    """The default of `power`: squashed coordinates, turned."""
    now = start(problem, own.start)
    for i in range(first, first + ROUNDS):
        now = parts.white(trainer.held_out(soft_targets(parts.turned(now)), i)[0])
    return now


def _more_runs(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    """Half of the rounds, each the mean of two runs."""
    now = start(problem, own.start)
    for i in range(ROUNDS // 2):
        both = trainer.held_out(soft_targets(parts.turned(now)), i, runs=2)
        now = parts.white(both[0] + both[1])
    return now


def _margins(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    """Targets that are zero where two held-out predictions of the round before part."""
    both = trainer.held_out(soft_targets(parts.turned(start(problem, own.start))), 0, runs=2)
    for i in range(1, ROUNDS // 2):
        both = trainer.held_out(parts.surest(both), i, runs=2)
    return parts.white(both[0] + both[1])


def _krylov(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    """A Ritz step over the spans of the last three rounds; linear targets."""
    now, spans, images = start(problem, own.start), [], []
    for i in range(ROUNDS):
        spans.append(now)
        images.append(trainer.held_out(now, i)[0])
        now = parts.white(images[-1])
    return parts.turned(parts.krylov(spans[-3:], images[-3:], problem.P))


def _oversampled(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    """Twice as many coordinates, of which those are kept that two runs agree on best; linear."""
    now = start(replace(problem, tasks=2 * problem.tasks), own.start)
    both = []
    for i in range(ROUNDS // 2):
        both = trainer.held_out(now, i, runs=2)
        now = parts.white(both[0] + both[1])
    return parts.turned(parts.reliable(both, problem.P))


def _alone(rounds: int, begin: Way) -> Way:
    """After another way: each task trained alone on its hard labels, and made white again."""

    def way(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
        now = begin(own, problem, trainer)
        for i in range(rounds):
            now = parts.white(trainer.alone(now, i))
        return now

    return way


def _best_of_twice(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    """Twice as many tasks, of which the half is kept that two early trainings agree on best."""
    found = _squashed(own, replace(problem, tasks=2 * problem.tasks), trainer)
    return found[:, np.argsort(-trainer.agreed(found, 0), kind="stable")[: problem.P]]


def _best_of_pool(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    """The best of a pool, by measured early agreement, within a mean similarity.

    The pool: twice as many components, the tasks of two searches, and products of the first eight
    components' sides.
    """
    components = start(replace(problem, tasks=2 * problem.tasks), own.start)
    searches = [_squashed(own, problem, trainer, first) for first in (0, 100)]
    pool = np.concatenate([components, *searches, parts.parities(components, 8)], axis=1)
    chosen = parts.best_apart(pool, trainer.agreed(pool, 0), problem.P, POOLED)
    return np.ascontiguousarray(pool[:, chosen])


def _components(own: Trial, problem: Problem, trainer: parts.Trainer) -> Float32:
    return parts.turned(start(problem, own.start))


#: by name, in the order of the table.
WAYS: dict[str, Way] = {
    "squashed": _squashed,
    "more runs": _more_runs,
    "margins": _margins,
    "krylov": _krylov,
    "oversampled": _oversampled,
    "alone 1": _alone(1, _squashed),
    "alone 2": _alone(2, _squashed),
    "components": _components,
    "components, alone 1": _alone(1, _components),
    "components, alone 2": _alone(2, _components),
    "best of twice": _best_of_twice,
    "best of a pool": _best_of_pool,
}
