"""Training: the one update step, its loop, prediction, and what they run on."""

from taskdiscovery.training.asking import PREDICTION_BATCH, autocast, calibrate, predict
from taskdiscovery.training.early import WATCHED
from taskdiscovery.training.images import take, to_tensor
from taskdiscovery.training.learner import Learner, Pixels
from taskdiscovery.training.loop import cross_entropy, squared_error, step, train
from taskdiscovery.training.machine import (
    keep_freed_memory,
    resolve_device,
    resolve_precision,
    resolve_ranks,
    set_threads,
    staff,
)
from taskdiscovery.training.optimizers import eager, optimizer_arrays, restore_optimizer
from taskdiscovery.training.weights import set_weights, weights
from taskdiscovery.training.work import Training

__all__ = [
    "PREDICTION_BATCH",
    "WATCHED",
    "Learner",
    "Pixels",
    "Training",
    "autocast",
    "calibrate",
    "cross_entropy",
    "eager",
    "keep_freed_memory",
    "optimizer_arrays",
    "predict",
    "resolve_device",
    "resolve_precision",
    "resolve_ranks",
    "restore_optimizer",
    "set_threads",
    "set_weights",
    "squared_error",
    "staff",
    "step",
    "take",
    "to_tensor",
    "train",
    "weights",
]
