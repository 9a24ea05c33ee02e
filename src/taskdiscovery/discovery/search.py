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

from taskdiscovery import partition, ranks
from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery import meta, methods
from taskdiscovery.discovery.encoder import Encoder
from taskdiscovery.discovery.ground import Ground
from taskdiscovery.discovery.labelling import task_columns
from taskdiscovery.errors import NumericalError
from taskdiscovery.journal import Journal
from taskdiscovery.training import (
    Learner,
    Pixels,
    resolve_device,
    resolve_precision,
    resolve_ranks,
    staff,
    to_tensor,
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


def resolve(config: DiscoverConfig, dataset: Dataset) -> DiscoverConfig:
    """Take the decisions that depend on the machine and on the number of images, once.

    Raises:
        ConfigError: for `meta`, where the learner cannot be differentiated twice.
    """
    there = resolve_ranks(config.ranks, config.executor)
    device = resolve_device(config.device)
    used = int(partition.draw(len(dataset), config.seed).sum())
    config = replace(
        config.with_epochs(min(used, config.train_images or used)),
        ranks=there,
        device=device,
        precision=resolve_precision(config.precision, device),
    )
    learner = _learner(config)
    assert config.epochs is not None
    fitted = min(used, config.train_images or used)
    config = staff(
        config,
        learner,
        dataset.image_shape,
        pieces=config.folds * config.runs if config.method == "power" else 1,
        passes=config.epochs * fitted * (config.folds - 1) // config.folds,
        rounds=config.iterations,
    )
    if config.method == "meta":
        rows = np.arange(min(len(dataset), config.inner_batch))
        images = to_tensor(dataset.images[: len(rows)], device)
        pixels = Pixels.measure(dataset.images, rows)
        inner = meta.Inner(learner, dataset.image_shape, pixels, images, config)
        config = meta.choose_way(config, inner, rows)
    return ranks.share(config)  # what was measured differs from rank to rank


def _learner(config: DiscoverConfig) -> Learner:
    assert config.epochs is not None
    return Learner.of(
        config.learner,
        config.recipe(config.epochs),
        device=config.device,
        precision=config.precision,
    )


def discover(
    dataset: Dataset,
    config: DiscoverConfig,
    *,
    on_iteration: Callable[[dict[str, Any]], None] = lambda row: None,
    journal: Journal | None = None,
    warm: Encoder | None = None,
) -> Discovery:
    """Find tasks on which the learner generalizes.

    Args:
        dataset: images; labels and attributes are used only where `exclude` or `within` ask.
        config: method, learner, how many tasks, how long; as `resolve` returns it.
        on_iteration: told the numbers of every iteration that is not remembered.
        journal: remembers what is finished, so that a job that was stopped can go on.
        warm: encoder that `meta` begins with.

    Returns:
        Tasks in falling order of held-out correlation, their encoder, and the headline numbers.

    Raises:
        ConfigError: for combinations that cannot work.
        DataError: for too few images.
        NumericalError: where training diverges or the embedding collapses.
    """
    journal = journal or Journal()
    learner = _learner(config)
    train_N = partition.draw(len(dataset), config.seed)
    rows = partition.sample(np.flatnonzero(train_N), config.train_images, config.seed, "discover")
    ground = Ground(dataset, config, learner, rows, journal, warm)
    more: dict[str, Any] = {}
    if config.method == "spectral":
        encoder, quality = methods.by_spectral(ground), dict[str, FloatArray]()
    elif config.method == "meta":
        encoder, quality, more = methods.by_meta(ground, on_iteration)
    else:
        encoder, quality = methods.by_power(ground, on_iteration)

    coordinates = encoder.coordinates(dataset.images, config.device, outputs=ground.outputs_ND)
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
        "excluded": ground.left_over(coordinates, np.flatnonzero(~train_N)),
        "iterations": ground.iterations,
        **more,
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
