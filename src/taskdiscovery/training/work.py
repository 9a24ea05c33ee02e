"""One training as a thing of its own: all that its result follows from, but the images.

It can be sent to another process. The same training on the same images gives the same outputs
there, on the same kind of processor and with as many threads.

Axes: n training images, m measured images, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from taskdiscovery.config import ResolvedLearner, is_convex
from taskdiscovery.networks import Model, Normalization, build_learner
from taskdiscovery.networks.placing import Images, hold, on_host
from taskdiscovery.networks.prediction import calibrate, predict
from taskdiscovery.runtime.progress import Meter, Silent
from taskdiscovery.training import convex
from taskdiscovery.training.early import Settling
from taskdiscovery.training.loop import Hooks, train
from taskdiscovery.training.steps import Examples, Loss, cross_entropy, squared_error
from taskdiscovery.training.watch import Unwatched, Watch
from taskdiscovery.types import IntArray

LOSSES: dict[str, Loss] = {"cross entropy": cross_entropy, "squared error": squared_error}


class Seeds(NamedTuple):
    """What a run is drawn from: its weights, and the order of its batches."""

    init: int
    order: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """A network to be trained, and the images whose outputs are then wanted.

    Attributes:
        learner: architecture and recipe.
        shape: (H, W, channels) of an image.
        normalization: of pixels.
        outputs: K.
        rows: (n,) images to train on.
        targets: (n,) classes or (n, K) coordinates.
        loss: name of one of `LOSSES`.
        measured: (m,) images whose outputs are wanted.
        seeds: what the run is drawn from.
        monitored: images on which the predictions must settle for the training to end early; None
            to train for the whole schedule.
        groups: (n,) number of what each training image belongs together with, which is kept
            together where a learner cuts them; or None.
    """

    learner: ResolvedLearner
    shape: tuple[int, int, int]
    normalization: Normalization
    outputs: int
    rows: IntArray
    targets: NDArray[Any]
    loss: str = "cross entropy"
    measured: IntArray
    seeds: Seeds
    monitored: IntArray | None = None
    groups: IntArray | None = None

    @property
    def passes(self) -> int:
        """Images that pass through the network while it is trained."""
        return self.learner.recipe.epochs * len(self.rows)

    def on(self, device: str) -> Training:
        """Return the same training for another device, `cuda` for that of a worker."""
        if device == self.learner.device:
            return self
        return replace(self, learner=replace(self.learner, device=device))

    def run(
        self, images: Images, *, meter: Meter | None = None, watch: Watch | None = None
    ) -> Tensor:
        """Train, and return (m, K) float32 outputs on the CPU; (2, m, K) with `monitored`.

        Args:
            images: (N, H, W, channels) uint8, or (N, 1, 1, P) features, on the learner's device.
            meter: told of every image passed through.
            watch: saves the training on the way.

        Raises:
            NumericalError: where training diverges.
        """
        learner = self.learner
        if is_convex(learner.name):
            outputs = convex.fitted_outputs(
                learner.name,
                on_host(images),
                convex.Fit(self.rows, self.targets, self.outputs, self.groups),
                self.measured,
                learner.device,
            )
            (meter or Silent()).advance(self.passes)
            return outputs
        settling = None
        if self.monitored is not None:
            settling = Settling(images, self.rows, self.monitored, learner.precision)
        hooks = Hooks(meter=meter or Silent(), watch=watch or Unwatched(), settling=settling)
        hold(images, np.concatenate([self.rows, self.measured]))
        model = self.trained(images, hooks)
        outputs = predict(model, images, self.measured, learner.precision)
        if settling is None:
            return outputs
        if settling.before:
            model.load_state_dict(settling.before)
            if learner.recipe.recalibrate:
                calibrate(model, images, self.rows, learner.precision)
        before = predict(model, images, self.measured, learner.precision)
        return torch.stack([before, outputs])

    def trained(self, images: Images, hooks: Hooks) -> Model:
        """Return the network with the weights that the training ends in.

        Args:
            images: as of `run`.
            hooks: told of what happens.

        Raises:
            NumericalError: where training diverges.
        """
        model = self.build()
        train(self.learner, model, self.examples(images), self.seeds.order, hooks)
        return model

    def build(self) -> Model:
        """Return the network before its training."""
        return build_learner(
            self.learner, self.shape, self.outputs, self.normalization, self.seeds.init
        )

    def examples(self, images: Images) -> Examples:
        """Return what is trained on; images as of `run`."""
        targets = torch.from_numpy(self.targets)
        if targets.is_floating_point():
            targets = targets.float()
        return Examples(images, self.rows, targets.to(images.device), LOSSES[self.loss])
