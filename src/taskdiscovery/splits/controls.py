"""Controls: splits of the same size and class counts that are not cut along the task.

- `random`: the train side is drawn by chance;
- `untrained`: cut along one random output of an untrained network;
- `hard`: the images that a network gets most wrong, when it has not trained on them, are tested on;
- `kmeans`: one of two clusters of an untrained network's features is trained on, the other tested:
  images look different on the two sides, but nothing about them goes with the class.

Axes: N images, C classes, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from sklearn.cluster import KMeans
from torch import Tensor

from taskdiscovery.data import partition
from taskdiscovery.discovery import untrained
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.splits.cuts import Candidate, Sides, groups_of
from taskdiscovery.splits.judging import Question
from taskdiscovery.training import Request, Seeds, Workbench
from taskdiscovery.types import BoolArray, FloatArray, Labeling, Record


def make(name: str, question: Question, adversarial: Sides, meter: Meter) -> Sides:
    """Make the control of that name.

    Args:
        name: one of `CONTROLS`.
        question: what is split, and what may be used for it.
        adversarial: its sides, whose size and class counts are taken over.
        meter: told of images passed through.
    """
    return CONTROLS[name](question, adversarial, meter)


def untrained_task(bench: Workbench, learner: str, seed: int, seen_N: BoolArray) -> Labeling:
    """Return the task of an untrained network: the sign of one random output, cut at its median.

    Args:
        bench: images, normalization, and the learner whose network it is.
        learner: its name.
        seed: decides the weights.
        seen_N: images that batch norm and the median are taken from.
    """
    rows = np.flatnonzero(seen_N)
    model = untrained.network(bench, 1, rows, derive(seed, "untrained"))
    everywhere = np.arange(len(bench.dataset))
    outputs_N = predict(model, bench.images, everywhere, "float32")[:, 0].numpy()
    coordinate_N = outputs_N - np.median(outputs_N[seen_N])
    return Labeling(
        name=f"untrained:{learner}",
        classes=("0", "1"),
        labels_N=(coordinate_N > 0).astype(np.int64),
        ids_N=bench.dataset.ids,
        coordinates_NC=coordinate_N[:, None],
    )


def held_out_loss(question: Question, meter: Meter) -> FloatArray:
    """Return (N,) cross-entropy of each image under networks that have not trained on it.

    Two halves of the images that may be trained on take turns; the others get the mean of both.
    """
    target, config, bench = question.target, question.config, question.bench
    limit = None if config.train_images is None else 2 * config.train_images
    rows = np.flatnonzero(question.seen_N & target.known_N)
    rows = partition.sample(rows, limit, config.seed, "hard images")
    halves = np.array_split(generator(config.seed, "hard images").permutation(rows), 2)
    N = len(target)

    def keep(outputs: Tensor) -> Record:
        logits_NC = outputs.numpy().astype(np.float64)
        top_N = logits_NC.max(axis=1)
        normalizer_N = top_N + np.log(np.exp(logits_NC - top_N[:, None]).sum(axis=1))
        own_N = logits_NC[np.arange(N), np.maximum(target.labels_N, 0)]
        return Record(arrays={"loss": normalizer_N - own_N})

    def request(fold: int) -> Request:
        init, order = (derive(config.seed, "hard", fold, what) for what in ("init", "order"))
        training = bench.training(target, np.sort(halves[fold]), np.arange(N), Seeds(init, order))
        return Request(key=f"control hard/fold {fold}", training=training, keep=keep)

    requests = [request(fold) for fold in range(2)]
    bench.executor.submit(requests, meter)
    losses_2N = np.stack([bench.executor.result(r, meter).arrays["loss"] for r in requests])
    loss_N = losses_2N.mean(axis=0)
    loss_N[halves[0]] = losses_2N[1, halves[0]]
    loss_N[halves[1]] = losses_2N[0, halves[1]]
    return loss_N


def _random(question: Question, sides: Sides, meter: Meter) -> Sides:
    """Exactly the same size and class counts, within each part."""
    rng = generator(question.config.seed, "random split")
    return _by_order(rng.random(len(question.seen_N)), sides, question)


def _untrained(question: Question, sides: Sides, meter: Meter) -> Sides:
    config, target = question.config, question.target
    task = untrained_task(question.bench, config.learner, config.seed, question.seen_N)
    made = Candidate(task=task, orientation="same", group=groups_of(task, target))
    return made.sides(target, question.balanced)


def _hard(question: Question, sides: Sides, meter: Meter) -> Sides:
    return _by_order(held_out_loss(question, meter), sides, question)


def _kmeans(question: Question, sides: Sides, meter: Meter) -> Sides:
    return _by_order(_clusters(question), sides, question)


#: how each control is made.
CONTROLS: dict[str, Callable[[Question, Sides, Meter], Sides]] = {
    "random": _random,
    "untrained": _untrained,
    "hard": _hard,
    "kmeans": _kmeans,
}

#: with how many outputs untrained networks are built that a control asks.
UNTRAINED = {"untrained": 1, "kmeans": 2}


def _by_order(score_N: FloatArray, sides: Sides, question: Question) -> Sides:
    """Put the images of lowest score on the train side, as many of each class as `sides` has."""
    target, seen_N = question.target, question.seen_N
    train = np.zeros_like(sides.train)
    for c in range(target.k):
        for part in (seen_N, ~seen_N):
            rows = np.flatnonzero((target.labels_N == c) & part)
            rows = rows[np.argsort(score_N[rows], kind="stable")]
            train[rows[: int(sides.train[rows].sum())]] = True
    return replace(sides, train=train)


def _clusters(question: Question) -> FloatArray:
    """Return (N,): how much nearer an image is to one cluster than to the other."""
    bench = question.bench
    rows = np.flatnonzero(question.seen_N)
    seed = derive(question.config.seed, "kmeans")
    model = untrained.network(bench, 2, rows, seed)
    features_NF = untrained.features(model, bench.images, np.arange(len(bench.dataset)))
    features_NF = (features_NF - features_NF[rows].mean(axis=0)) / np.maximum(
        features_NF[rows].std(axis=0), 1e-9
    )
    few = partition.sample(rows, 10_000, question.config.seed, "kmeans")
    clusters = KMeans(2, n_init=4, random_state=seed % 2**32).fit(features_NF[few])
    distances_N2 = clusters.transform(features_NF)
    return np.asarray(distances_N2[:, 0] - distances_N2[:, 1], dtype=np.float64)
