"""Discovery by power iteration: train, predict what was not trained on, whiten, repeat.

Training is an operator: labels in, predictions on unseen images out. Where networks behave like
a fixed kernel it is a smoother, and the labelings that survive it best are its top eigenfunctions;
block power iteration finds them with no second derivative anywhere.

Axes: N training images, D tasks. Source: DESIGN of this project; it has no paper yet.

Within the span of the coordinates every rotation is as good an eigenspace; with `rotate` the one
is taken whose coordinates are most two-valued, so that a task separates groups rather than cuts a
continuum.

Targets are squashed coordinates, or the coordinates as they are. Squashing pulls them towards two
values, and makes the operator nonlinear: it turns the subspace away from the eigenspace. Without it
the iteration is that of linear algebra, and its noise, that of single trainings, averages away.

Still imperfect: the held-out correlation is measured against the targets, which flatters smooth
ones and cannot be compared between squashed and linear ones; and tasks of more than two classes
are not rotated.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from taskdiscovery.config import Load, ResolvedLearner, Use
from taskdiscovery.config.learners import RIDGE
from taskdiscovery.discovery.method import Method, Sought
from taskdiscovery.discovery.power_options import PowerOptions
from taskdiscovery.errors import NumericalError

if TYPE_CHECKING:
    from taskdiscovery.discovery.iteration import Iteration
    from taskdiscovery.discovery.problem import Found, Problem
    from taskdiscovery.types import Float32, Matrix

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, kw_only=True)
class Power(PowerOptions, Method):
    """Power iteration with held-out predictions. The default on pixels."""

    name: ClassVar[str] = "power"
    about: ClassVar[str] = "power iteration with predictions on images that were held out"
    separate_trainings: ClassVar[bool] = True
    by_ridge: ClassVar[bool] = True

    def check_features(self, learner: str) -> None:
        """Refuse learners that look at pixels.

        Raises:
            ConfigError: for any but the ridge.
        """
        if learner != RIDGE:
            super().check_features(learner)

    def least_images(self, coordinates: int) -> int:
        """Say how many training images so many coordinates need: eight a fold at least."""
        return max(super().least_images(coordinates), 8 * self.folds)

    def load(self, epochs: int, images: int) -> Load:
        """Say how much will be trained: every fold of every iteration."""
        return Load(
            trainings=self.folds * self.runs,
            passes=epochs * images * (self.folds - 1) // self.folds,
            rounds=self.iterations,
        )

    def uses(self, learner: ResolvedLearner, sought: Sought) -> list[Use]:
        """Say which networks are built: directions are dropped, so any number may be left."""
        if learner.network == RIDGE:
            return []
        counts = {sought.coordinates, sought.classes - 1}
        return [Use(learner=learner, outputs=count, encoder=True) for count in sorted(counts)]

    def search(self, problem: Problem) -> Found:
        """Find tasks by iterating, then fit one encoder on all training images."""
        from taskdiscovery.discovery.fitting import fit_encoder

        if problem.workbench.learner.network == RIDGE:
            return self._search_features(problem)
        last = self._iterate(problem)
        order = _order(problem, last)
        found = fit_encoder(problem, _coordinates(problem, last, order))
        return _found(problem, last, order, found)

    def _search_features(self, problem: Problem) -> Found:
        """Find tasks on features, by ridges in closed form."""
        import torch
        from threadpoolctl import threadpool_limits

        from taskdiscovery.discovery.linear_power import fitted, iterated
        from taskdiscovery.discovery.tables import Prepared

        if self.start == "pixels":
            _LOG.warning("--start pixels: without effect on features, whose components are taken")
        with threadpool_limits(torch.get_num_threads(), user_api="blas"):
            ready = Prepared.of(problem, self, folds=self.folds)
            last = iterated(ready, self)
            order = _order(problem, last)
            found = fitted(ready, _coordinates(problem, last, order))
        found = _found(problem, last, order, found)
        return replace(found, numbers={"features": ready.described(), **found.numbers})

    def _iterate(self, problem: Problem) -> Iteration:
        """Return the last iteration."""
        from taskdiscovery.discovery.iteration import crossfit, iterate, start

        bench = problem.workbench
        epochs = bench.learner.recipe.epochs
        passes = epochs * self.runs * (self.folds - 1) * len(problem.rows)
        with bench.callbacks.stage("power iteration", self.iterations * passes) as meter:

            def held_out(targets_NP: Float32, number: int) -> Float32:
                return crossfit(problem, self, targets_NP, number, meter)

            for last in iterate(problem, self, partial(start, problem, self.start), held_out):
                if last.replayed:
                    meter.advance(last.number * passes)
                else:
                    bench.callbacks.on_iteration(last.to_row())
                meter.advance(0, f"held-out correlation {last.correlation.mean():.3f}")
        return last


def _order(problem: Problem, last: Iteration) -> list[int]:
    """Return the tasks that are predicted better than permuted labels, best first.

    Raises:
        NumericalError: where there is none.
    """
    correlation_D = last.correlation.reshape(-1, problem.per_task).mean(axis=1)
    order = [int(d) for d in np.argsort(-correlation_D, kind="stable")]
    order = [d for d in order if correlation_D[d] > last.chance]
    if not order:
        raise NumericalError(
            "no direction is predicted better than permuted labels are",
            where="--method power",
            hint="train longer (--epochs), give more images, or ask for fewer tasks",
        )
    if len(order) < problem.tasks:
        _LOG.warning(
            "%d of %d directions are predicted no better than permuted labels, and dropped",
            problem.tasks - len(order),
            problem.tasks,
        )
    return order


def _coordinates(problem: Problem, last: Iteration, order: list[int]) -> Matrix:
    from taskdiscovery.encoders.labelling import task_columns

    return last.coordinates[:, task_columns(order, problem.classes)]


def _found(problem: Problem, last: Iteration, order: list[int], found: Found) -> Found:
    correlation_D = last.correlation.reshape(-1, problem.per_task).mean(axis=1)
    quality = {"crossfit_correlation": correlation_D[order], **found.quality}
    return replace(found, quality=quality, numbers={"iterations": list(last.history)})
