"""Runs that are kept: a trained network, or a linear learner on reduced features.

Axes: M images or rows, P features, R reduced features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config import is_convex
from taskdiscovery.features.reduction import Reduction
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import Images, on_host, place
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.training import convex
from taskdiscovery.training.loop import Hooks
from taskdiscovery.training.watch import Unwatched
from taskdiscovery.training.work import Training
from taskdiscovery.types import Float32, FloatArray


class Member(Protocol):
    """A run that is kept."""

    def probabilities(self, inputs: NDArray[Any]) -> FloatArray:
        """Return (M, C) of (M, H, W, channels) images, or of features (M, 1, 1, P)."""
        ...


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedNetwork:
    """A network with the weights that its training ended in.

    Attributes:
        model: on its device.
        device, precision: in which it was trained, and is asked.
    """

    model: Model
    device: str
    precision: str

    def probabilities(self, inputs: NDArray[Any]) -> FloatArray:
        """Return (M, C): the softmax of its outputs."""
        images = place(np.ascontiguousarray(inputs), self.device)
        outputs = predict(self.model, images, np.arange(len(inputs)), self.precision)
        return outputs.double().softmax(dim=1).numpy()


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedLinear:
    """A learner in closed form, on features.

    Attributes:
        reduction: of the features, measured on training rows.
        mean_R: of the reduced features there.
        linear: its outputs.
    """

    reduction: Reduction
    mean_R: Float32
    linear: convex.Linear

    def probabilities(self, inputs: NDArray[Any]) -> FloatArray:
        """Return (M, C): of logistic regression; of a ridge its outputs, clipped, of sum 1."""
        table_MP = inputs.reshape(len(inputs), -1)
        table_MR = self.reduction.apply(table_MP, np.arange(len(table_MP))) - self.mean_R
        outputs_MC = self.linear.of(table_MR)
        if self.linear.classes_K is not None:
            shares_MC = np.exp(outputs_MC)
        else:
            # The largest stays the largest where all are below 0 or above 1.
            shares_MC = np.maximum(outputs_MC, 0.0) + 1e-9 * (1 + np.tanh(outputs_MC))
        return np.asarray(shares_MC / shares_MC.sum(axis=1, keepdims=True), dtype=np.float64)


def kept(training: Training, images: Images, meter: Meter) -> Member:
    """Train, and keep what was trained.

    Args:
        training: one run; nothing is asked of it here.
        images: (N, H, W, channels) uint8, or (N, 1, 1, P) features, on the learner's device.
        meter: told of every image passed through.

    Raises:
        NumericalError: where training diverges.
    """
    learner = training.learner
    if is_convex(learner.name):
        fit = convex.Fit(training.rows, training.targets, training.outputs, training.groups)
        own, linear = convex.fitted(learner.name, on_host(images), fit, learner.device)
        meter.advance(training.passes)
        return TrainedLinear(reduction=own.reduction, mean_R=own.mean_R, linear=linear)
    model = training.trained(images, Hooks(meter=meter, watch=Unwatched()))
    return TrainedNetwork(model=model, device=learner.device, precision=learner.precision)
