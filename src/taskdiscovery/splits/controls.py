"""Controls: splits of the same size and class counts that are not cut along the task.

- `random`: the train side is drawn by chance;
- `untrained`: cut along one random output of an untrained network;
- `hard`: the images that a network gets most wrong, when it has not trained on them, are tested on;
- `kmeans`: one of two clusters of an untrained network's features is trained on, the other tested:
  images look different on the two sides, but nothing about them goes with the class.

Axes: N images, C classes, F features.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.cluster import KMeans
from torch import Tensor

from taskdiscovery import partition
from taskdiscovery.config import SplitConfig
from taskdiscovery.discovery import spectral
from taskdiscovery.executors import Executor, Piece
from taskdiscovery.journal import Unit
from taskdiscovery.progress import Meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.splits.cuts import Candidate, Cut, Sides
from taskdiscovery.stage import Stage
from taskdiscovery.training import Learner, predict
from taskdiscovery.types import BoolArray, Dataset, FloatArray, Target

CONTROLS = ("random", "untrained", "hard", "kmeans")


def make(
    name: str,
    dataset: Dataset,
    target: Target,
    adversarial: Sides,
    stage: Stage,
    config: SplitConfig,
    seen: BoolArray,
    balanced: bool,
    crew: Executor,
    bar: Meter,
) -> Sides:
    """Make the control of that name.

    Args:
        name: one of `CONTROLS`.
        dataset: the images.
        target: the human labeling.
        adversarial: its sides, whose size and class counts are taken over.
        stage: device, normalization, learner.
        config: of the job.
        seen: (N,) images that may be trained on.
        balanced: whether cuts are made within each class.
        crew: does the trainings.
        bar: told of images passed through.
    """
    if name == "random":
        return _random(adversarial, target, seen, config.seed)
    if name == "untrained":
        cut = untrained_cut(dataset, config.learner, stage, config, seen)
        made = Candidate(cut=cut, orientation="same", group=cut.groups(target))
        return made.sides(target, balanced)
    if name == "hard":
        loss_N = held_out_loss(stage, target, config, seen, crew, bar)
        return _by_order(loss_N, adversarial, target, seen)
    return _by_order(_clusters(dataset, config, stage, seen), adversarial, target, seen)


def untrained_cut(
    dataset: Dataset, learner: str, stage: Stage, config: SplitConfig, seen: BoolArray
) -> Cut:
    """The task of an untrained network: the sign of one random output, cut at its median.

    Args:
        dataset: the images.
        learner: SPEC of the network; `seed` among its options decides its weights.
        stage: device, normalization.
        config: precision and seed.
        seen: images that batch norm and the median are taken from.
    """
    made = Learner.of(
        learner, stage.learner.recipe, device=config.device, precision=config.precision
    )
    seed = derive(config.seed, "untrained")
    rows = np.flatnonzero(seen)
    model = spectral.untrained(made, dataset.image_shape, 1, stage.pixels, stage.images, rows, seed)
    outputs = predict(model, stage.images, np.arange(len(dataset)), "float32")[:, 0].numpy()
    coordinate = outputs - np.median(outputs[seen])
    return Cut(
        name=f"untrained:{learner}",
        place=(coordinate > 0).astype(np.int64),
        coordinate=coordinate.astype(np.float64),
    )


def held_out_loss(
    stage: Stage,
    target: Target,
    config: SplitConfig,
    seen: BoolArray,
    crew: Executor,
    bar: Meter,
) -> FloatArray:
    """Return (N,) cross-entropy of each image under networks that have not trained on it.

    Two halves of the images that may be trained on take turns; the others get the mean of both.
    """
    limit = None if config.train_images is None else 2 * config.train_images
    rows = partition.sample(np.flatnonzero(seen & target.known), limit, config.seed, "hard images")
    halves = np.array_split(generator(config.seed, "hard images").permutation(rows), 2)
    N = len(target.labels)

    def keep(outputs: Tensor) -> Unit:
        logits_NC = outputs.numpy().astype(np.float64)
        top_N = logits_NC.max(axis=1)
        normalizer_N = top_N + np.log(np.exp(logits_NC - top_N[:, None]).sum(axis=1))
        own_N = logits_NC[np.arange(N), np.maximum(target.labels, 0)]
        return Unit(arrays={"loss": normalizer_N - own_N})

    pieces = [
        Piece(
            key=f"control hard/fold {fold}",
            training=stage.training(
                target.labels,
                target.k,
                np.sort(half),
                np.arange(N),
                init_seed=derive(config.seed, "hard", fold, "init"),
                order_seed=derive(config.seed, "hard", fold, "order"),
            ),
            keep=keep,
        )
        for fold, half in enumerate(halves)
    ]
    crew.begin(pieces, bar)
    losses_2N = np.stack([crew.unit(piece, bar).arrays["loss"] for piece in pieces])
    loss_N = losses_2N.mean(axis=0)
    loss_N[halves[0]] = losses_2N[1, halves[0]]
    loss_N[halves[1]] = losses_2N[0, halves[1]]
    return loss_N


def _random(sides: Sides, target: Target, seen: BoolArray, seed: int) -> Sides:
    """Exactly the same size and class counts, within each part."""
    rng = generator(seed, "random split")
    return _by_order(rng.random(len(seen)), sides, target, seen)


def _by_order(score_N: FloatArray, sides: Sides, target: Target, seen: BoolArray) -> Sides:
    """Put the images of lowest score on the train side, as many of each class as `sides` has."""
    train = np.zeros_like(sides.train)
    for c in range(target.k):
        for part in (seen, ~seen):
            rows = np.flatnonzero((target.labels == c) & part)
            rows = rows[np.argsort(score_N[rows], kind="stable")]
            train[rows[: int(sides.train[rows].sum())]] = True
    return replace(sides, train=train)


def _clusters(dataset: Dataset, config: SplitConfig, stage: Stage, seen: BoolArray) -> FloatArray:
    """Return (N,): how much nearer an image is to one cluster than to the other."""
    rows = np.flatnonzero(seen)
    seed = derive(config.seed, "kmeans")
    model = spectral.untrained(
        stage.learner, dataset.image_shape, 2, stage.pixels, stage.images, rows, seed
    )
    features_NF = spectral.extract(model, stage.images, np.arange(len(dataset)))
    features_NF = (features_NF - features_NF[rows].mean(axis=0)) / np.maximum(
        features_NF[rows].std(axis=0), 1e-9
    )
    few = partition.sample(rows, 10_000, config.seed, "kmeans")
    clusters = KMeans(2, n_init=4, random_state=seed % 2**32).fit(features_NF[few])
    distances_N2 = clusters.transform(features_NF)
    return np.asarray(distances_N2[:, 0] - distances_N2[:, 1], dtype=np.float64)
