"""What every training on labels shares."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TypeVar

from torch import Tensor

from taskdiscovery import ranks
from taskdiscovery.config import TrainingConfig
from taskdiscovery.journal import Unit
from taskdiscovery.training import (
    Learner,
    Pixels,
    Training,
    resolve_device,
    resolve_precision,
    resolve_ranks,
    staff,
    to_tensor,
)
from taskdiscovery.types import Dataset, IntArray

_LOG = logging.getLogger("taskdiscovery")


T = TypeVar("T", bound=TrainingConfig)


def resolve(config: T, dataset: Dataset, pieces: int) -> T:
    """Fill in the preset, and take the decisions that depend on the machine, once.

    Args:
        config: as given.
        dataset: the images.
        pieces: trainings that can be done at once.

    Raises:
        ConfigError: where they cannot be taken as asked.
    """
    there = resolve_ranks(config.ranks, config.executor)
    device = resolve_device(config.device)
    found = replace(
        config.resolved(),
        ranks=there,
        device=device,
        precision=resolve_precision(config.precision, device),
    )
    learner = Learner.of(
        found.learner, found.recipe, device=found.device, precision=found.precision
    )
    images = min(len(dataset), found.train_images or len(dataset))
    passes = found.recipe.epochs * images
    return ranks.share(staff(found, learner, dataset.image_shape, pieces=pieces, passes=passes))


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

    def training(
        self,
        labels: IntArray,
        classes: int,
        rows: IntArray,
        measured: IntArray,
        *,
        init_seed: int,
        order_seed: int,
        watched: IntArray | None = None,
    ) -> Training:
        """Make one run: a training on `rows`, asked on `measured`.

        Args:
            labels: (N,) class of every image; only those of `rows` are looked at.
            classes: number of classes.
            rows: images to train on.
            measured: (m,) images whose outputs are wanted.
            init_seed, order_seed: what the run is drawn from.
            watched: images on which the answers must settle for the run to end early.
        """
        return Training(
            learner=self.learner,
            shape=self.shape,
            pixels=self.pixels,
            outputs=classes,
            rows=rows,
            targets=labels[rows],
            measured=measured,
            init_seed=init_seed,
            order_seed=order_seed,
            watched=watched,
        )


def predicted(outputs: Tensor) -> Unit:
    """Keep the (…, m) predicted classes of (…, m, C) outputs."""
    return Unit(arrays={"predicted": outputs.argmax(dim=-1).numpy()})
