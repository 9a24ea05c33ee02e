"""Training: the workbench, the one update step, its loop, and what is saved on the way."""

from taskdiscovery.training.early import MONITORED
from taskdiscovery.training.loop import Hooks, train
from taskdiscovery.training.optimizers import eager, optimizer_arrays, restore_optimizer
from taskdiscovery.training.request import Executor, Request
from taskdiscovery.training.steps import (
    Batch,
    Examples,
    Steps,
    cross_entropy,
    forget_steps,
    squared_error,
    step,
)
from taskdiscovery.training.watch import Unwatched, Watch
from taskdiscovery.training.weights import set_weights, weights
from taskdiscovery.training.work import Seeds, Training
from taskdiscovery.training.workbench import Workbench, predicted, warn_if_brief

__all__ = [
    "MONITORED",
    "Batch",
    "Examples",
    "Executor",
    "Hooks",
    "Request",
    "Seeds",
    "Steps",
    "Training",
    "Unwatched",
    "Watch",
    "Workbench",
    "cross_entropy",
    "eager",
    "forget_steps",
    "optimizer_arrays",
    "predicted",
    "restore_optimizer",
    "set_weights",
    "squared_error",
    "step",
    "train",
    "warn_if_brief",
    "weights",
]
