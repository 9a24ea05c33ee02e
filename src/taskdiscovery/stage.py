"""What every training on labels shares, and the one way to train a run and predict with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from taskdiscovery.config import TrainingConfig
from taskdiscovery.journal import Watch
from taskdiscovery.networks import Model
from taskdiscovery.progress import Meter
from taskdiscovery.training import (
    Learner,
    Pixels,
    cross_entropy,
    predict,
    resolve_device,
    resolve_precision,
    set_threads,
    to_tensor,
    train,
)
from taskdiscovery.types import Dataset, IntArray

_LOG = logging.getLogger("taskdiscovery")


T = TypeVar("T", bound=TrainingConfig)


def resolve(config: T) -> T:
    """Fill in the preset, and take the decisions that depend on the machine, once."""
    device = resolve_device(config.device)
    return replace(
        config.resolved(),
        device=device,
        precision=resolve_precision(config.precision, device),
        threads=set_threads(config.threads),
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class Stage:
    """Images on the device, their normalization, and the learner.

    Attributes:
        images: (N, H, W, channels) uint8 on the learner's device.
        shape: (H, W, channels).
        pixels: pixel normalization, measured on training images.
        learner: what is trained, and how.
    """

    images: Tensor
    shape: tuple[int, int, int]
    pixels: Pixels
    learner: Learner

    @classmethod
    def prepare(cls, dataset: Dataset, config: TrainingConfig, rows: IntArray) -> Stage:
        """Read the learner, measure the normalization on `rows`, put the images in place.

        Args:
            dataset: the images.
            config: resolved: device and precision are no longer `auto`.
            rows: training images.

        Raises:
            ConfigError: for a learner that cannot be built.
        """
        learner = Learner.of(
            config.learner, config.recipe, device=config.device, precision=config.precision
        )
        steps = config.recipe.epochs * max(1, len(rows) // config.batch)
        if steps < 60 and config.preset != "smoke":
            _LOG.warning(
                "%d images and %d epochs give %d steps, too few to learn much: raise --epochs or "
                "lower --batch",
                len(rows),
                config.recipe.epochs,
                steps,
            )
        return cls(
            images=to_tensor(dataset.images, config.device),
            shape=dataset.image_shape,
            pixels=Pixels.measure(dataset.images, rows),
            learner=learner,
        )

    def fit(
        self,
        labels: IntArray,
        classes: int,
        rows: IntArray,
        *,
        init_seed: int,
        order_seed: int,
        meter: Meter,
        watch: Watch | None = None,
    ) -> Model:
        """Train one run.

        Args:
            labels: (N,) class of every image; only those of `rows` are looked at.
            classes: number of classes.
            rows: images to train on.
            init_seed, order_seed: what the run is drawn from.
            meter: told of every image passed through.
            watch: saves the training on the way.

        Raises:
            NumericalError: where training diverges.
        """
        model = self.learner.build(self.shape, classes, self.pixels, init_seed)
        targets = torch.from_numpy(labels[rows]).to(self.images.device)
        return train(
            self.learner,
            model,
            self.images,
            rows,
            targets,
            cross_entropy,
            seed=order_seed,
            meter=meter,
            watch=watch,
        )

    def run(
        self,
        labels: IntArray,
        classes: int,
        fit: IntArray,
        measured: IntArray,
        *,
        init_seed: int,
        order_seed: int,
        meter: Meter,
        watch: Watch | None = None,
    ) -> IntArray:
        """Train one run on `fit` and return its (len(measured),) predicted classes.

        Raises:
            NumericalError: where training diverges.
        """
        model = self.fit(
            labels,
            classes,
            fit,
            init_seed=init_seed,
            order_seed=order_seed,
            meter=meter,
            watch=watch,
        )
        outputs = predict(model, self.images, measured, self.learner.precision)
        return outputs.argmax(dim=1).numpy()
