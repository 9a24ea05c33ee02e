"""What all methods of discovery stand on: images, rows, constraints, and the encoder's fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from taskdiscovery import subspace
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery import power, spectral
from taskdiscovery.discovery.encoder import Encoder
from taskdiscovery.discovery.exclude import excluded_columns
from taskdiscovery.discovery.labelling import balance, classify
from taskdiscovery.errors import DataError
from taskdiscovery.journal import Journal, Unit, Watch
from taskdiscovery.networks import Model
from taskdiscovery.progress import meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.subspace import Table
from taskdiscovery.training import (
    Learner,
    Pixels,
    predict,
    set_weights,
    squared_error,
    to_tensor,
    train,
    weights,
)
from taskdiscovery.types import Dataset, Float32, FloatArray, IntArray


class Ground:
    """The parts that all methods share.

    Args:
        dataset: images; labels and attributes are used only where the config asks.
        config: of the job, resolved.
        learner: what is to generalize.
        rows: (N,) training images; nothing else is looked at.
        journal: remembers what is finished.
        warm: encoder that `meta` begins with.

    Raises:
        DataError: for too few images.
    """

    def __init__(
        self,
        dataset: Dataset,
        config: DiscoverConfig,
        learner: Learner,
        rows: IntArray,
        journal: Journal,
        warm: Encoder | None,
    ) -> None:
        self.dataset, self.config, self.learner, self.rows = dataset, config, learner, rows
        self.warm = warm
        self.journal = journal
        self.coordinates_per_task = config.classes - 1
        self.D = config.tasks * self.coordinates_per_task
        least = max(16, config.folds * 8, 2 * self.D)
        if len(rows) < least:
            raise DataError(
                f"{len(rows)} training images are too few for {config.tasks} tasks in "
                f"{config.folds} folds",
                where=dataset.name,
                mend=f"give at least {least}, or ask for fewer tasks or folds",
            )
        self.pixels = Pixels.measure(dataset.images, rows)
        self.images: Tensor = to_tensor(dataset.images, config.device)
        self.excluded: pd.DataFrame | None = excluded_columns(dataset, config.exclude)
        groups = None
        if config.within:
            target = dataset.target(config.within)
            groups = target.labels[rows]
        self.constraints = power.Constraints(
            excluded=None if self.excluded is None else self.excluded.to_numpy()[rows],
            groups=groups,
        )
        self.iterations: list[dict[str, Any]] = []
        #: (all images, outputs) of the encoder's model, once there is one.
        self.outputs_ND: Float32 = np.zeros((0, 0), dtype=np.float32)
        self.names = tuple(f"task_{d:03d}" for d in range(config.tasks))

    def left_over(self, coordinates: Float32, test: IntArray) -> dict[str, dict[str, float]]:
        """How much of the coordinates' variance the excluded columns explain on test images."""
        if self.excluded is None:
            return {}
        explained = subspace.explained(
            coordinates[test].astype(np.float64), self.excluded.to_numpy()[test]
        )
        return {
            "explained_on_test": {
                "mean": round(float(explained.mean()), 4),
                "max": round(float(explained.max()), 4),
            }
        }

    def untrained_features(self) -> tuple[Learner, Model, Float32]:
        """Build the untrained network; return its learner, itself and its (N, F) features."""
        learner = self.learner
        if self.config.start == "pixels":
            learner = Learner.of(
                "linear", learner.recipe, device=learner.device, precision=learner.precision
            )
        seed = derive(self.config.seed, "untrained")
        shape = self.dataset.image_shape
        model = spectral.untrained(
            learner, shape, self.D, self.pixels, self.images, self.rows, seed
        )
        return learner, model, spectral.extract(model, self.images, self.rows)

    def start(self) -> Float32:
        """Return the whitened (N, D) coordinates that power iteration starts from."""
        start_ND = generator(self.config.seed, "start").normal(size=(len(self.rows), self.D))
        if self.config.start != "noise":
            _, _, features_NF = self.untrained_features()
            count = min(self.D, features_NF.shape[1])  # where features are too few: noise
            mean_F, directions = subspace.principal_components(features_NF, count)
            start_ND[:, :count] = subspace.apply(features_NF, directions, mean_F)
        return self.constraints.apply(start_ND).coordinates.astype(np.float32)

    def fit(self, coordinates_ND: Table) -> tuple[Encoder, FloatArray]:
        """Train the encoder on all training images; report how often it agrees with Y."""
        config = self.config
        assert config.encoder_epochs is not None
        learner = replace(self.learner, recipe=config.recipe(config.encoder_epochs))
        count = coordinates_ND.shape[1]
        seed = derive(config.seed, "encoder")
        model = learner.build(self.dataset.image_shape, count, self.pixels, derive(seed, "init"))
        targets_ND = power.soft_targets(coordinates_ND)

        def work(watch: Watch) -> Unit:
            with meter("fitting the encoder", learner.recipe.epochs * len(self.rows)) as bar:
                train(
                    learner,
                    model,
                    self.images,
                    self.rows,
                    torch.from_numpy(targets_ND).to(config.device),
                    squared_error,
                    seed=seed,
                    meter=bar,
                    watch=watch,
                )
            return Unit(arrays=weights(model))

        set_weights(model, self.journal.unit("encoder", work).arrays)
        encoder = self.encoder(model, learner)
        _, offsets = balance(coordinates_ND.astype(np.float32), config.classes)
        wanted = classify(coordinates_ND.astype(np.float32), offsets, config.classes)
        given = encoder.labels(self.outputs_ND[self.rows] - encoder.centre)
        return encoder, (given == wanted).mean(axis=0)

    def encoder(self, model: Model, learner: Learner) -> Encoder:
        """Make the encoder of a model: its classes are balanced on the training images."""
        everywhere = np.arange(len(self.dataset))
        self.outputs_ND = predict(model, self.images, everywhere, "float32").numpy()
        centre, offsets = balance(self.outputs_ND[self.rows], self.config.classes)
        outputs = self.outputs_ND.shape[1]
        return Encoder(
            learner=learner.spec.text,
            image_shape=self.dataset.image_shape,
            names=self.names[: len(offsets)],
            classes=self.config.classes,
            model=model,
            outputs=outputs,
            columns=np.arange(outputs),
            centre=centre,
            offsets=offsets,
        )
