"""Learners that differ from plain training (ERM) in how images are weighed, and in nothing else.

Each is the training that it is given, with the same seeds, steps and schedule: where all weights
are equal, so are the bits of its network.

Axes: n training images, G groups, C classes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Images
from taskdiscovery.training.loop import Hooks, train
from taskdiscovery.training.robust.problem import Problem
from taskdiscovery.training.weighting import Fixed, Weighting, WorstGroup
from taskdiscovery.training.work import Training
from taskdiscovery.types import FloatArray, IntArray


def erm(problem: Problem, images: Images, hooks: Hooks) -> Model:
    """Train plainly: every image counts alike (empirical risk minimization).

    Args:
        problem: the training.
        images: as of `Training.run`.
        hooks: progress and saving.

    Raises:
        NumericalError: where training diverges.
    """
    return problem.training.trained(images, hooks)


def class_reweighting(problem: Problem, images: Images, hooks: Hooks) -> Model:
    """Give every class the same weight in all; arguments and errors as of `erm`."""
    return _weighted(problem, images, hooks, equalizing(problem.training.targets))


def group_reweighting(problem: Problem, images: Images, hooks: Hooks) -> Model:
    """Give every group the same weight in all; arguments and errors as of `erm`."""
    return _weighted(problem, images, hooks, equalizing(problem.groups))


def group_dro(problem: Problem, images: Images, hooks: Hooks) -> Model:
    """Lower the loss of the worst group (Sagawa et al., 2020); see `WorstGroup`.

    The paper adds strong weight decay or an early end, without which a network that fits all its
    training images has no worst group left: the recipe has them, or not. Its adjustment by the
    sizes of groups (C) is left out.

    Args, Raises: as of `erm`; ConfigError under torchrun.
    """
    weighting = WorstGroup.of(problem.groups, problem.settings.rate, images.device)
    return trained(problem.training, images, hooks, weighting)


def equalizing(numbers_n: IntArray) -> FloatArray:
    """Return (n,) weights of mean 1 that give every class, or group, the same weight in all."""
    counts = np.bincount(numbers_n)
    share: FloatArray = len(numbers_n) / (np.count_nonzero(counts) * counts[numbers_n])
    return share


def trained(training: Training, images: Images, hooks: Hooks, weighting: Weighting) -> Model:
    """Do a training with its images weighed; arguments and errors as of `Training.trained`."""
    model = training.build()
    examples = replace(training.examples(images), weighting=weighting)
    return train(training.learner, model, examples, training.seeds.order, hooks)


def _weighted(problem: Problem, images: Images, hooks: Hooks, weights_n: FloatArray) -> Model:
    return trained(problem.training, images, hooks, Fixed.of(weights_n, images.device))
