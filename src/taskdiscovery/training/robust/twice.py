"""Just train twice (JTT; Liu et al., 2021): images that a brief training gets wrong count more.

It needs no groups but to tune its two settings. The paper repeats those images in the epoch; here
they weigh as much more in the loss, over as many steps as without them.

Axes: n training images.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery.errors import RunDirError
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Images
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.training.loop import Hooks
from taskdiscovery.training.robust.problem import Problem
from taskdiscovery.training.robust.weighed import trained
from taskdiscovery.training.watch import Watch
from taskdiscovery.training.weighting import Fixed
from taskdiscovery.training.work import Seeds, Training
from taskdiscovery.types import BoolArray, Record

_LOG = logging.getLogger("taskdiscovery")


def train_twice(problem: Problem, images: Images, hooks: Hooks) -> Model:
    """Train briefly, and then anew with the images that were wrong at its end counting more.

    Args:
        problem: the second training; the first one has seeds that follow from its own.
        images: as of `Training.run`.
        hooks: progress and saving, of both.

    Raises:
        NumericalError: where a training diverges.
        RunDirError: where what was saved does not fit.
    """
    training, saved = problem.training, hooks.watch.restored()
    if saved is not None and "wrong" in saved.arrays:
        wrong_n = saved.arrays["wrong"]
        if wrong_n.shape != training.rows.shape or wrong_n.dtype != np.bool_:
            raise RunDirError(
                "the saved training is of other images",
                where="checkpoints",
                hint="begin again with another --out",
            )
        hooks.meter.advance(first_training(problem).passes)
    else:
        wrong_n = _wrong(first_training(problem), images, hooks)
    if not wrong_n.any():
        _LOG.warning("JTT: the first training gets every image right, so none counts more")
    weights_n = np.where(wrong_n, problem.settings.up, 1.0)
    second = replace(hooks, watch=_Second(hooks.watch, wrong_n))
    return trained(training, images, second, Fixed.of(weights_n, images.device))


def first_training(problem: Problem) -> Training:
    """Return the first training: of another network, for a share of the schedule."""
    training, learner = problem.training, problem.training.learner
    epochs = max(1, round(problem.settings.first * learner.recipe.epochs))
    return replace(
        training,
        learner=replace(learner, recipe=replace(learner.recipe, epochs=epochs)),
        seeds=Seeds(*(derive(seed, "jtt") for seed in training.seeds)),
    )


def _wrong(training: Training, images: Images, hooks: Hooks) -> BoolArray:
    """Do the first training; return (n,) which of its images it gets wrong."""
    model = training.trained(images, hooks)
    outputs = predict(model, images, training.rows, training.learner.precision)
    wrong_n: BoolArray = outputs.argmax(dim=1).numpy() != training.targets
    return wrong_n


@dataclass(frozen=True, eq=False)
class _Second:
    """The watch of the second training: what it saves has what the first one found with it."""

    watch: Watch
    wrong_n: BoolArray

    def restored(self) -> Record | None:
        """Return what was saved of the second training, if it was."""
        saved = self.watch.restored()
        return saved if saved is not None and "wrong" in saved.arrays else None

    def boundary(self, state: Callable[[], Record]) -> None:
        """As of `Watch`."""
        self.watch.boundary(lambda: self._with(state()))

    def save(self, state: Callable[[], Record]) -> None:
        """As of `Watch`."""
        self.watch.save(lambda: self._with(state()))

    def _with(self, state: Record) -> Record:
        return Record(values=state.values, arrays={**state.arrays, "wrong": self.wrong_n})
