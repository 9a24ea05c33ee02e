"""The job of discovery.

`discover` draws the partition, searches on `train` alone by the chosen method, fits the encoder,
and labels every image with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from taskdiscovery import partition, subspace
from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery import power, spectral
from taskdiscovery.discovery.encoder import Encoder
from taskdiscovery.discovery.exclude import excluded_columns
from taskdiscovery.discovery.labelling import Float32, balance, classify, task_columns
from taskdiscovery.errors import DataError, NumericalError
from taskdiscovery.journal import Journal, Unit, Watch
from taskdiscovery.networks import Model
from taskdiscovery.progress import meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.training import (
    Learner,
    Pixels,
    predict,
    resolve_device,
    resolve_precision,
    set_threads,
    set_weights,
    squared_error,
    to_tensor,
    train,
    weights,
)
from taskdiscovery.types import Dataset, FloatArray, IntArray, Tasks

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class Discovery:
    """What was found.

    Attributes:
        tasks: labels and coordinates of every image, best task first.
        encoder: the tasks themselves; labels any other image.
        result: the headline numbers, as in `result.json`.
    """

    tasks: Tasks
    encoder: Encoder
    result: dict[str, Any]


def resolve(config: DiscoverConfig, images: int) -> DiscoverConfig:
    """Take the decisions that depend on the machine and on the number of images, once."""
    device = resolve_device(config.device)
    used = int(partition.draw(images, config.seed).sum())
    return replace(
        config.with_epochs(min(used, config.train_images or used)),
        device=device,
        precision=resolve_precision(config.precision, device),
        threads=set_threads(config.threads),
    )


def discover(
    dataset: Dataset,
    config: DiscoverConfig,
    *,
    on_iteration: Callable[[dict[str, Any]], None] = lambda row: None,
    journal: Journal | None = None,
) -> Discovery:
    """Find tasks on which the learner generalizes.

    Args:
        dataset: images; labels and attributes are used only where `exclude` or `within` ask.
        config: method, learner, how many tasks, how long.
        on_iteration: told the numbers of every iteration that is not remembered.
        journal: remembers what is finished, so that a job that was stopped can go on.

    Returns:
        Tasks in falling order of held-out correlation, their encoder, and the headline numbers.

    Raises:
        ConfigError: for combinations that cannot work.
        DataError: for too few images.
        NumericalError: where training diverges or the embedding collapses.
    """
    config = resolve(config, len(dataset))
    assert config.epochs is not None
    journal = journal or Journal()
    learner = Learner.of(
        config.learner,
        config.recipe(config.epochs),
        device=config.device,
        precision=config.precision,
    )
    train_N = partition.draw(len(dataset), config.seed)
    rows = partition.sample(np.flatnonzero(train_N), config.train_images, config.seed, "discover")
    search = _Search(dataset, config, learner, rows, journal)
    if config.method == "spectral":
        encoder, quality = search.spectral(), dict[str, FloatArray]()
    else:
        encoder, quality = search.power(on_iteration)

    coordinates = encoder.coordinates(dataset.images, config.device)
    labels = encoder.labels(coordinates)
    kept = _not_degenerate(labels, rows)
    encoder, labels = encoder.keep(kept), labels[:, kept]
    coordinates = coordinates[:, task_columns(kept, config.classes)]
    quality = {key: values[kept] for key, values in quality.items()}
    tasks = Tasks(
        labels=labels,
        names=encoder.names,
        ids=dataset.ids,
        k=(config.classes,) * len(encoder.names),
        coordinates=coordinates,
        train=train_N,
        images=dataset.images,
    )
    result = {
        "method": config.method,
        "learner": config.learner,
        "precision": config.precision,
        "classes": config.classes,
        "train_images": len(rows),
        "tasks": _task_rows(tasks, quality),
        "dropped": config.tasks - len(tasks),
        "similarity": _similarity(labels[~train_N], config.classes),
        "excluded": search.left_over(coordinates, np.flatnonzero(~train_N)),
        "iterations": search.iterations,
        "seconds": round(journal.seconds, 2),
    }
    return Discovery(tasks=tasks, encoder=encoder, result=result)


def _not_degenerate(labels_ND: IntArray, rows: IntArray) -> list[int]:
    """Tasks in which every class of the training images has at least one in a hundred.

    Raises:
        NumericalError: where no task is left.
    """
    kept = []
    for d in range(labels_ND.shape[1]):
        shares = np.bincount(labels_ND[rows, d]) / len(rows)
        if len(shares) > 1 and shares.min() >= 0.01:
            kept.append(d)
    if not kept:
        raise NumericalError(
            "every task has one label only: the embedding collapsed",
            where="discover",
            mend="train longer (--encoder-epochs), or lower --learning-rate",
        )
    if len(kept) < labels_ND.shape[1]:
        _LOG.warning(
            "%d tasks have one label only, and are dropped", labels_ND.shape[1] - len(kept)
        )
    return kept


def _task_rows(tasks: Tasks, quality: dict[str, FloatArray]) -> list[dict[str, Any]]:
    rows = []
    for d, name in enumerate(tasks.names):
        shares = np.bincount(tasks.labels[:, d], minlength=tasks.k[d]) / len(tasks.labels)
        row: dict[str, Any] = {
            "name": name,
            "crossfit_correlation": None,
            "rate": round(float(shares[1] if tasks.k[d] == 2 else shares.max()), 4),
        }
        rows.append(row | {key: round(float(values[d]), 4) for key, values in quality.items()})
    return rows


def _similarity(labels_ND: IntArray, classes: int) -> dict[str, float | None]:
    D = labels_ND.shape[1]
    if D < 2:
        return {"mean": None, "max": None}
    pairs = similarity_matrix(labels_ND, classes)[np.triu_indices(D, 1)]
    return {"mean": round(float(pairs.mean()), 4), "max": round(float(pairs.max()), 4)}


class _Search:
    """The parts that all methods share: images on the device, constraints, the encoder's fit."""

    def __init__(
        self,
        dataset: Dataset,
        config: DiscoverConfig,
        learner: Learner,
        rows: IntArray,
        journal: Journal,
    ) -> None:
        self.dataset, self.config, self.learner, self.rows = dataset, config, learner, rows
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
        self.names = tuple(f"task_{d:03d}" for d in range(config.tasks))

    def spectral(self) -> Encoder:
        """Principal components of the features of the untrained network, or of pixels."""
        learner, model, features_NF = self._untrained_features()
        mean_F, directions_FD = spectral.components(
            features_NF, self.D, self.constraints.excluded, self.constraints.groups
        )
        if self.config.rotate and self.config.classes == 2:
            coordinates_ND = (features_NF - features_NF.mean(axis=0)) @ directions_FD
            directions_FD = directions_FD @ subspace.bimodal_rotation(coordinates_ND)
        spectral.install(model, mean_F, directions_FD)
        return self._encoder(model, learner, self._outputs(model))

    def power(
        self, on_iteration: Callable[[dict[str, Any]], None]
    ) -> tuple[Encoder, dict[str, FloatArray]]:
        """Power iteration, then one encoder fitted on all training images."""
        config, per_task = self.config, self.coordinates_per_task
        assert config.epochs is not None
        passes = config.epochs * config.runs * (config.folds - 1) * len(self.rows)
        last: power.Iteration | None = None
        with meter("power iteration", config.iterations * passes) as bar:
            for last in power.iterate(
                self._start,
                self.learner,
                self.images,
                self.rows,
                self.pixels,
                self.constraints,
                config,
                bar,
                self.journal,
            ):
                if last.replayed:
                    bar.advance(last.number * passes)
                else:
                    on_iteration(last.to_row())
                bar.advance(0, f"held-out correlation {last.correlation.mean():.3f}")
        assert last is not None
        self.iterations = list(last.history)
        correlation_T = last.correlation.reshape(-1, per_task).mean(axis=1)
        order = [int(d) for d in np.argsort(-correlation_T, kind="stable")]
        order = [d for d in order if correlation_T[d] > last.chance]
        if not order:
            raise NumericalError(
                "no direction is predicted better than permuted labels are",
                where="--method power",
                mend="train longer (--epochs), give more images, or ask for fewer tasks",
            )
        if len(order) < config.tasks:
            _LOG.warning(
                "%d of %d directions are predicted no better than permuted labels, and dropped",
                config.tasks - len(order),
                config.tasks,
            )
        chosen_ND = last.coordinates[:, task_columns(order, config.classes)]
        encoder, agreement_T = self._fit(chosen_ND)
        return encoder, {
            "crossfit_correlation": correlation_T[order],
            "encoder_agreement": agreement_T,
        }

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

    def _untrained_features(self) -> tuple[Learner, Model, FloatArray]:
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

    def _start(self) -> FloatArray:
        """Return the whitened (N, D) coordinates that power iteration starts from."""
        start_ND = generator(self.config.seed, "start").normal(size=(len(self.rows), self.D))
        if self.config.start != "noise":
            _, _, features_NF = self._untrained_features()
            count = min(self.D, features_NF.shape[1])  # where features are too few: noise
            mean_F, directions = subspace.principal_components(features_NF, count)
            start_ND[:, :count] = (features_NF - mean_F) @ directions
        return self.constraints.apply(start_ND).coordinates

    def _fit(self, coordinates_ND: FloatArray) -> tuple[Encoder, FloatArray]:
        """Train the encoder on all training images; report how often it agrees with Y."""
        config = self.config
        assert config.encoder_epochs is not None
        learner = replace(self.learner, recipe=config.recipe(config.encoder_epochs))
        count = coordinates_ND.shape[1]
        seed = derive(config.seed, "encoder")
        model = learner.build(self.dataset.image_shape, count, self.pixels, derive(seed, "init"))
        targets_ND = power.soft_targets(coordinates_ND)

        def fit(watch: Watch) -> Unit:
            with meter("fitting the encoder", learner.recipe.epochs * len(self.rows)) as bar:
                train(
                    learner,
                    model,
                    self.images,
                    self.rows,
                    torch.from_numpy(targets_ND).float().to(config.device),
                    squared_error,
                    seed=seed,
                    meter=bar,
                    watch=watch,
                )
            return Unit(arrays=weights(model))

        set_weights(model, self.journal.unit("encoder", fit).arrays)
        model.eval()
        outputs_ND = self._outputs(model)
        encoder = self._encoder(model, learner, outputs_ND)
        _, offsets = balance(coordinates_ND.astype(np.float32), config.classes)
        wanted = classify(coordinates_ND.astype(np.float32), offsets, config.classes)
        return encoder, (encoder.labels(outputs_ND - encoder.centre) == wanted).mean(axis=0)

    def _encoder(self, model: Model, learner: Learner, outputs_ND: Float32) -> Encoder:
        centre, offsets = balance(outputs_ND, self.config.classes)
        outputs = outputs_ND.shape[1]
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

    def _outputs(self, model: Model) -> Float32:
        return predict(model, self.images, self.rows, "float32").numpy()
