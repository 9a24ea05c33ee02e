"""Training: the one update step, its loop, prediction, and what they run on."""

from taskdiscovery.training.learner import Learner, Pixels, to_tensor
from taskdiscovery.training.loop import (
    PREDICTION_BATCH,
    autocast,
    calibrate,
    cross_entropy,
    predict,
    squared_error,
    step,
    train,
)
from taskdiscovery.training.machine import resolve_device, resolve_precision, set_threads
from taskdiscovery.training.state import set_weights, weights

__all__ = [
    "PREDICTION_BATCH",
    "Learner",
    "Pixels",
    "autocast",
    "calibrate",
    "cross_entropy",
    "predict",
    "resolve_device",
    "resolve_precision",
    "set_threads",
    "set_weights",
    "squared_error",
    "step",
    "to_tensor",
    "train",
    "weights",
]
