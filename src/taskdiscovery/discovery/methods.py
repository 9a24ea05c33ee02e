"""The three methods: each takes the ground, and returns an encoder and what is known of it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery import executors, subspace
from taskdiscovery.data import read_features
from taskdiscovery.discovery import meta, power, spectral
from taskdiscovery.discovery.encoder import Encoder
from taskdiscovery.discovery.ground import Ground
from taskdiscovery.discovery.labelling import task_columns
from taskdiscovery.errors import NumericalError
from taskdiscovery.networks import Model
from taskdiscovery.progress import meter
from taskdiscovery.seeds import derive
from taskdiscovery.training import Learner
from taskdiscovery.types import FloatArray

_LOG = logging.getLogger("taskdiscovery")


def by_spectral(ground: Ground) -> Encoder:
    """Principal components of the features of the untrained network, or of pixels."""
    learner, model, features_NF = ground.untrained_features()
    mean_F, directions_FD = spectral.components(
        features_NF, ground.D, ground.constraints.excluded, ground.constraints.groups
    )
    if ground.config.rotate and ground.config.classes == 2:
        coordinates_ND = subspace.apply(features_NF, directions_FD, mean_F)
        directions_FD = directions_FD @ subspace.bimodal_rotation(coordinates_ND)
    spectral.install(model, mean_F, directions_FD)
    return ground.encoder(model, learner)


def by_power(
    ground: Ground, on_iteration: Callable[[dict[str, Any]], None]
) -> tuple[Encoder, dict[str, FloatArray]]:
    """Power iteration, then one encoder fitted on all training images."""
    config, per_task = ground.config, ground.coordinates_per_task
    assert config.epochs is not None
    passes = config.epochs * config.runs * (config.folds - 1) * len(ground.rows)
    last: power.Iteration | None = None
    with (
        executors.opened(config, ground.images, ground.dataset.images, ground.journal) as crew,
        meter("power iteration", config.iterations * passes) as bar,
    ):
        for last in power.iterate(
            ground.start,
            ground.learner,
            ground.images,
            ground.rows,
            ground.pixels,
            ground.constraints,
            config,
            bar,
            ground.journal,
            crew,
        ):
            if last.replayed:
                bar.advance(last.number * passes)
            else:
                on_iteration(last.to_row())
            bar.advance(0, f"held-out correlation {last.correlation.mean():.3f}")
    assert last is not None
    ground.iterations = list(last.history)
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
    encoder, agreement_T = ground.fit(chosen_ND)
    return encoder, {
        "crossfit_correlation": correlation_T[order],
        "encoder_agreement": agreement_T,
    }


def by_meta(
    ground: Ground, on_iteration: Callable[[dict[str, Any]], None]
) -> tuple[Encoder, dict[str, FloatArray], dict[str, Any]]:
    """Meta-gradient, then the encoder with its statistics frozen."""
    config = ground.config
    inner = meta.Inner(
        ground.learner, ground.dataset.image_shape, ground.pixels, ground.images, config
    )
    if config.way != "graphs" and config.objective != "none":
        inner.preflight(ground.rows)
    embedding, learner, model, features_NF = _embedding(ground)
    contained = [ground.dataset.target(t) for t in filter(None, config.contain.split(";"))]
    outer = meta.MetaSearch(embedding, inner, ground.rows, config, contained)
    history = outer.run(ground.journal, on_iteration)
    more = {"meta": meta.summary(history, outer.progress.diverged, config)}
    source = embedding.source
    if isinstance(source, meta.Pixels):
        model = source.fold(embedding, ground.rows)
    elif model is not None:
        model = source.fold(embedding, model, features_NF)
    else:  # features that no network gives: an encoder is fitted to what was found
        encoder, agreement_T = ground.fit(source.coordinates(embedding, ground.rows))
        return encoder, {"encoder_agreement": agreement_T}, more
    return ground.encoder(model, learner), {}, more


def _embedding(ground: Ground) -> tuple[meta.Embedding, Learner, Model | None, subspace.Table]:
    """Build what is to be optimized: an encoder, or a linear map of given features.

    Returns:
        The embedding, the encoder's learner, its network (None for a table), and the features
        of the training images where those are all that the embedding sees.
    """
    config, shape = ground.config, ground.dataset.image_shape
    seed = derive(config.seed, "embedding")
    turned = config.directions in ("best", "worst")
    none = np.zeros((0, 0))
    if config.features:
        table_NF = read_features(Path(config.features), ground.dataset)
        source = meta.Table(table_NF, ground.rows, ground.D, seed, config.device)
        return meta.Embedding(source, ground.D, turned=turned), ground.learner, None, none
    warm = ground.warm
    spec = config.encoder or (config.learner if warm is None else warm.learner)
    learner = Learner.of(
        spec, ground.learner.recipe, device=config.device, precision=config.precision
    )
    model = learner.build(shape, ground.D, ground.pixels, derive(seed, "init"))
    meta.require_linear_head(model, spec)
    if warm is not None:
        meta.begin_with(model, warm, ground.D)
    if not config.backbone:
        pixels = meta.Pixels(model, ground.images, config.precision)
        return meta.Embedding(pixels, ground.D, turned=turned), learner, model, none
    meta.load_backbone(model, Path(config.backbone))
    everywhere = np.arange(len(ground.dataset))
    features_NF = spectral.extract(model.eval(), ground.images, everywhere)
    source = meta.Table(features_NF, ground.rows, ground.D, seed, config.device)
    embedding = meta.Embedding(source, ground.D, turned=turned)
    return embedding, learner, model, features_NF[ground.rows]
