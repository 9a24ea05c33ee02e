"""One training as a thing of its own: all that its result follows from, but the images.

It can be sent to another process. The same training on the same images gives the same outputs
there, on the same kind of processor and with as many threads.

Axes: n training images, m measured images, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from taskdiscovery.journal import Watch
from taskdiscovery.progress import Meter
from taskdiscovery.training.asking import calibrate, predict
from taskdiscovery.training.early import Settling
from taskdiscovery.training.learner import Learner, Pixels
from taskdiscovery.training.loop import Loss, cross_entropy, squared_error, train
from taskdiscovery.types import IntArray

LOSSES: dict[str, Loss] = {"cross entropy": cross_entropy, "squared error": squared_error}


@dataclass(frozen=True, eq=False, kw_only=True)
class Training:
    """A network to be trained, and the images on which it is then asked.

    Attributes:
        learner: architecture and recipe.
        shape: (H, W, channels) of an image.
        pixels: pixel normalization.
        outputs: K.
        rows: (n,) images to train on.
        targets: (n,) classes or (n, K) coordinates.
        loss: name of one of `LOSSES`.
        measured: (m,) images whose outputs are wanted.
        init_seed, order_seed: what the weights and the batches are drawn from.
        watched: images on which the answers must settle for the training to end early; None to
            train for the whole schedule.
    """

    learner: Learner
    shape: tuple[int, int, int]
    pixels: Pixels
    outputs: int
    rows: IntArray
    targets: NDArray[Any]
    loss: str = "cross entropy"
    measured: IntArray
    init_seed: int
    order_seed: int
    watched: IntArray | None = None

    @property
    def passes(self) -> int:
        """Images that pass through the network while it is trained."""
        return self.learner.recipe.epochs * len(self.rows)

    def run(
        self, images: Tensor, *, meter: Meter | None = None, watch: Watch | None = None
    ) -> Tensor:
        """Train, and return (m, K) float32 outputs on the CPU; (2, m, K) where `watched` is given.

        Args:
            images: (N, H, W, channels) uint8 on the learner's device.
            meter: told of every image passed through.
            watch: saves the training on the way.

        Raises:
            NumericalError: where training diverges.
        """
        model = self.learner.build(self.shape, self.outputs, self.pixels, self.init_seed)
        targets = torch.from_numpy(self.targets)
        if targets.is_floating_point():
            targets = targets.float()
        settling = None
        if self.watched is not None:
            settling = Settling(images, self.rows, self.watched, self.learner.precision)
        train(
            self.learner,
            model,
            images,
            self.rows,
            targets.to(images.device),
            LOSSES[self.loss],
            seed=self.order_seed,
            meter=meter,
            watch=watch,
            settling=settling,
        )
        outputs = predict(model, images, self.measured, self.learner.precision)
        if settling is None:
            return outputs
        if settling.before:
            model.load_state_dict(settling.before)
            if self.learner.recipe.recalibrate:
                calibrate(model, images, self.rows, self.learner.precision)
        before = predict(model, images, self.measured, self.learner.precision)
        return torch.stack([before, outputs])
