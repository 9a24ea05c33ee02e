"""The search for tasks, whatever the method: what it may see, and what becomes of what it found.

Axes: N images, D tasks.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.config import Load, is_convex
from taskdiscovery.data import partition
from taskdiscovery.discovery.config import DiscoverConfig
from taskdiscovery.discovery.constraints import Constraints, excluded_columns, left_over
from taskdiscovery.discovery.method import Sought
from taskdiscovery.discovery.problem import Found, Problem
from taskdiscovery.encoders.discovery import Discovery
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.encoders.labelling import task_columns
from taskdiscovery.encoders.linear import FeatureEncoder
from taskdiscovery.errors import ConfigError, DataError, NumericalError
from taskdiscovery.executors import resolve_hardware, resolve_work, shape_of
from taskdiscovery.networks import preflight
from taskdiscovery.runtime import devices, ranks
from taskdiscovery.training import Workbench
from taskdiscovery.types import BoolArray, Dataset, Document, Float32, FloatArray, IntArray, Tasks

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """What discovery may look at.

    Attributes:
        seen_N: (N,) True for the training part of the data set.
        rows: the images of it that are used.
    """

    seen_N: BoolArray
    rows: IntArray


def view_of(dataset: Dataset, config: DiscoverConfig) -> View:
    """Draw the training images of a search.

    Raises:
        DataError: for too few images.
    """
    seen_N = partition.of(dataset, config.seed)
    rows = partition.sample(np.flatnonzero(seen_N), config.train_images, config.seed, "discover")
    return View(seen_N=seen_N, rows=rows)


def resolve(config: DiscoverConfig, dataset: Dataset) -> DiscoverConfig:
    """Take the decisions that depend on the machine and on the number of images, once.

    Raises:
        ConfigError: where the learner or the hardware cannot be used as asked.
        DataError: for too few images.
    """
    fitted = len(view_of(dataset, config).rows)
    config = resolve_hardware(config, dataset).with_epochs(fitted)
    assert config.epochs is not None
    learner = config.learner_of()
    sought = Sought(
        coordinates=config.tasks * (config.classes - 1),
        classes=config.classes,
        features=bool(config.features),
        objects=config.objects,
    )
    shape = shape_of(dataset, config)
    preflight.check(config.method.uses(learner, sought), shape)
    load = Load() if is_convex(config.learner) else config.method.load(config.epochs, fitted)
    config = resolve_work(config, learner, shape, load)
    method = config.method.resolve(learner, dataset, config.classes, config.seed)
    return ranks.share(replace(config, method=method))


def discover(
    bench: Workbench,
    config: DiscoverConfig,
    view: View,
    *,
    warm: Encoder | FeatureEncoder | None = None,
) -> Discovery:
    """Find tasks on which the learner generalizes.

    Args:
        bench: images, learner, executor; labels and attributes are used only where `exclude` or
            `within` ask.
        config: method, how many tasks, how long; as `resolve` returns it.
        view: what discovery may look at.
        warm: encoder to begin with, for methods that can.

    Returns:
        Tasks in falling order of held-out correlation, their encoder, and the headline numbers.

    Raises:
        ConfigError: for combinations that cannot work.
        DataError: for too few images.
        NumericalError: where training diverges or the embedding collapses.
    """
    dataset, rows = bench.dataset, view.rows
    problem = _problem(bench, config, rows, warm)
    excluded = excluded_columns(dataset, config.exclude)
    constraints = Constraints.of(dataset, rows, excluded, config.within)
    found = config.method.search(replace(problem, constraints=constraints))

    coordinates = _coordinates(found, dataset, config.device)
    labels_ND = found.encoder.classify(coordinates)
    kept = _not_degenerate(labels_ND, rows, config.classes)
    encoder = found.encoder.keep(kept)
    coordinates = coordinates[:, task_columns(kept, config.classes)]
    tasks = Tasks(
        labels_ND=labels_ND[:, kept],
        names=encoder.names,
        ids_N=dataset.ids,
        k=(config.classes,) * len(encoder.names),
        coordinates_NP=coordinates,
        seen_N=view.seen_N,
        images=dataset.pictures,
        features=None if dataset.has_images else dataset.features,
    )
    unseen = np.flatnonzero(~view.seen_N)
    numbers = {
        "method": config.method.name,
        "learner": config.learner,
        "precision": config.precision,
        "classes": config.classes,
        "train_images": len(rows),
        "tasks": _task_rows(tasks, found, kept),
        "dropped": config.tasks - len(tasks),
        "similarity": _similarity(tasks.labels_ND[unseen], config.classes),
        "excluded": left_over(coordinates, excluded, unseen),
        "iterations": [],
        **found.numbers,
        "seconds": round(bench.journal.seconds, 2),
    }
    return Discovery(tasks=tasks, encoder=encoder, numbers=numbers, fingerprint=dataset.fingerprint)


def _coordinates(found: Found, dataset: Dataset, device: str) -> Float32:
    """Return the coordinates of all images."""
    if isinstance(found.encoder, FeatureEncoder):
        return found.outputs
    device = devices.here(device)
    return found.encoder.transform(dataset.images, device, outputs=found.outputs)


def _problem(
    bench: Workbench, config: DiscoverConfig, rows: IntArray, warm: Encoder | FeatureEncoder | None
) -> Problem:
    P = config.tasks * (config.classes - 1)
    least = config.method.least_images(P)
    if len(rows) < least:
        raise DataError(
            f"{len(rows)} training images are too few for {config.tasks} tasks",
            where=bench.dataset.name,
            hint=f"give at least {least}, or ask for fewer tasks or folds",
        )
    assert config.encoder_epochs is not None
    closed, method = is_convex(config.learner), config.method
    needed = bool(config.features) or method.needs_features or closed
    asks = "--learner ridge" if closed else f"--method {method.name}"
    if needed and bench.dataset.features is None:
        raise ConfigError(
            f"{asks} looks at features, and the data has none",
            where="--features",
            hint="add --features FILE or lite0; in Python load(data, features=…) takes arrays, too",
        )
    return Problem(
        workbench=bench,
        rows=rows,
        tasks=config.tasks,
        classes=config.classes,
        seed=config.seed,
        constraints=Constraints(),
        encoder_recipe=config.recipe(config.encoder_epochs),
        features=bench.dataset.features if needed else None,
        warm=warm,
        objects=config.objects,
    )


def _not_degenerate(labels_ND: IntArray, rows: IntArray, classes: int) -> list[int]:
    """Tasks in which every class of the training images has at least one in a hundred.

    Raises:
        NumericalError: where no task is left.
    """
    kept = []
    for d in range(labels_ND.shape[1]):
        shares = np.bincount(labels_ND[rows, d], minlength=classes) / len(rows)
        if shares.min() >= 0.01:
            kept.append(d)
    if not kept:
        raise NumericalError(
            "every task has an empty class: the embedding collapsed",
            where="discover",
            hint="train longer (--encoder-epochs), or lower --learning-rate",
        )
    if len(kept) < labels_ND.shape[1]:
        _LOG.warning(
            "%d tasks have a class of under 1 %% of the images, and are dropped",
            labels_ND.shape[1] - len(kept),
        )
    return kept


def _task_rows(tasks: Tasks, found: Found, kept: list[int]) -> list[Document]:
    quality: dict[str, FloatArray] = {key: v[kept] for key, v in found.quality.items()}
    rows = []
    for d, name in enumerate(tasks.names):
        labels_N = tasks.labels_ND[:, d]
        shares = np.bincount(labels_N, minlength=tasks.k[d]) / len(labels_N)
        row: Document = {
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
