"""Controls: splits of the same size and class counts that are not cut along the task.

- `random`: the train side is drawn by chance;
- `untrained`: cut along one random output of an untrained network;
- `hard`: the images that a network gets most wrong, when it has not trained on them, are tested on;
- `kmeans`: one of two clusters of the same network's features is trained on, the other tested:
  images look different on the two sides, but nothing about them goes with the class.

Of large data sets a control looks at a sample that holds a third more images than are trained on;
images outside of it take no part. Groups are kept whole, and class counts are then met roughly
(`measure.equal_rows` makes them equal).

Axes: N images, n images that controls look at, C classes, F features, G groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from taskdiscovery import networks
from taskdiscovery.data import partition
from taskdiscovery.discovery import untrained
from taskdiscovery.networks.prediction import autocast, predict
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.splits.cuts import Candidate, Sides, groups_of
from taskdiscovery.splits.judging import Question
from taskdiscovery.training import Request, Seeds, Workbench
from taskdiscovery.types import BoolArray, Float32, FloatArray, IntArray, Labeling, Record

#: images that a control looks at on the train side, for each that is trained on.
SPARE = 1.3
#: images that a network is trained on, at most, whose losses tell hard images.
HARD_IMAGES = 10_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Template:
    """What controls are made from.

    Attributes:
        question: what is split, and what may be used for it.
        sides: of the adversarial split, whose size and class counts are taken over.
        meter: told of images passed through.
    """

    question: Question
    sides: Sides
    meter: Meter

    @cached_property
    def rows(self) -> IntArray:
        """(n,) the images that controls look at, in rising order."""
        seen_N, config = self.question.seen_N, self.question.config
        known = self.question.target.known_N
        own, limit = np.flatnonzero(seen_N & known), None
        trained = int((self.sides.train & seen_N & known).sum())
        if config.train_images is not None and trained:
            limit = round(len(own) * SPARE * config.train_images / trained)
        own = partition.sample(own, limit, config.seed, "controls")
        return np.sort(np.concatenate([own, np.flatnonzero(~seen_N & known)]))

    @cached_property
    def untrained(self) -> tuple[Float32, FloatArray]:
        """(n, F) features of an untrained network for `rows`, and (n,) its output."""
        bench, seed = self.question.bench, derive(self.question.config.seed, "untrained")
        model = untrained.network(bench, 1, np.flatnonzero(self.question.seen_N), seed)
        with autocast(bench.images.device.type, bench.learner.precision):
            features_nF = untrained.features(model, bench.images, self.rows)
        last = networks.last_linear(model)
        if last is None:
            return features_nF, features_nF[:, 0].astype(np.float64)
        with torch.no_grad():
            on_device = next(last.parameters()).device
            outputs = last(torch.from_numpy(np.array(features_nF)).to(on_device)).cpu()
        return features_nF, outputs[:, 0].numpy().astype(np.float64)

    def by_order(self, score_n: FloatArray, rows: IntArray) -> Sides:
        """Put the images of lowest score on the train side, as many as `sides` has of each class.

        Args:
            score_n: of each of the rows; the mean of its images counts for a group.
            rows: (n,) images that take part.
        """
        target, seen_N = self.question.target, self.question.seen_N
        train, known = np.zeros_like(self.sides.train), np.zeros_like(self.sides.known)
        known[rows] = True
        groups = self.question.bench.dataset.groups
        parts = [own for part in (seen_N, ~seen_N) if (own := np.flatnonzero(part[rows])).size]
        if groups is None:
            labels_n = target.labels_N[rows]
            parts = [own[labels_n[own] == c] for c in range(target.k) for own in parts]
        for own in parts:
            wanted = int(self.sides.train[rows[own]].sum())
            if groups is None:
                train[rows[own[np.argsort(score_n[own], kind="stable")][:wanted]]] = True
            else:
                codes_n = partition.codes(groups[rows[own]])
                train[rows[own[_lowest(score_n[own], codes_n, wanted)]]] = True
        return replace(self.sides, train=train, known=self.sides.known & known)


def _lowest(score_n: FloatArray, codes_n: IntArray, wanted: int) -> BoolArray:
    """Choose whole groups of the lowest mean score, of about so many images."""
    sizes_G = np.bincount(codes_n)
    order_G = np.argsort(np.bincount(codes_n, weights=score_n) / sizes_G, kind="stable")
    before_G = np.cumsum(sizes_G[order_G]) - sizes_G[order_G] / 2
    return np.isin(codes_n, order_G[before_G <= wanted])


def make(name: str, template: Template) -> Sides:
    """Make the control of that name.

    Args:
        name: one of `CONTROLS`.
        template: what it is made from.
    """
    return CONTROLS[name](template)


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


def held_out_loss(question: Question, rows: IntArray, meter: Meter) -> FloatArray:
    """Return (n,) cross-entropy of each of the rows under networks that have not trained on it.

    Where there are enough other images to train on, one network is trained on those. Else two
    halves of the rows that may be trained on take turns; the other rows get the mean of both.

    Args:
        question: what is split, and what may be used for it.
        rows: (n,) images with a class, in rising order.
        meter: told of images passed through.
    """
    target, config, bench = question.target, question.config, question.bench
    each = min(HARD_IMAGES, config.train_images or HARD_IMAGES)
    others = np.setdiff1d(np.flatnonzero(question.seen_N & target.known_N), rows)
    if len(others) >= each and bench.dataset.groups is None:
        fits = [partition.sample(others, each, config.seed, "hard images")]
    else:
        fit = partition.sample(rows[question.seen_N[rows]], 2 * each, config.seed, "hard images")
        rng = generator(config.seed, "hard images")
        fits = partition.cut(fit, 2, rng, bench.dataset.groups)
    asked = [np.setdiff1d(rows, fit, assume_unique=True) for fit in fits]

    def request(fold: int) -> Request:
        init, order = (derive(config.seed, "hard", fold, what) for what in ("init", "order"))
        training = bench.training(target, np.sort(fits[fold]), asked[fold], Seeds(init, order))
        truth = target.labels_N[asked[fold]]
        return Request(
            key=f"control hard/fold {fold}",
            training=training,
            keep=lambda outputs: Record(arrays={"loss": _cross_entropy(outputs, truth)}),
        )

    requests = [request(fold) for fold in range(len(fits))]
    bench.executor.submit(requests, meter)
    losses_Kn = np.full((len(fits), len(rows)), np.nan)
    for fold, one in enumerate(requests):
        found = bench.executor.result(one, meter).arrays["loss"]
        losses_Kn[fold, np.searchsorted(rows, asked[fold])] = found
    return np.asarray(np.nanmean(losses_Kn, axis=0))


def _cross_entropy(outputs: Tensor, truth_n: IntArray) -> FloatArray:
    logits_nC = outputs.numpy().astype(np.float64)
    top_n = logits_nC.max(axis=1)
    normalizer_n = top_n + np.log(np.exp(logits_nC - top_n[:, None]).sum(axis=1))
    return np.asarray(normalizer_n - logits_nC[np.arange(len(truth_n)), truth_n])


def _random(template: Template) -> Sides:
    """Exactly the same size and class counts, within each part."""
    question = template.question
    score_N = generator(question.config.seed, "random split").random(len(question.seen_N))
    groups = question.bench.dataset.groups
    if groups is not None:  # a number for each group
        score_N = score_N[partition.codes(groups)]
    rows = np.flatnonzero(question.target.known_N)
    return template.by_order(score_N[rows], rows)


def _untrained(template: Template) -> Sides:
    question, rows = template.question, template.rows
    output_n = template.untrained[1]
    coordinate_n = output_n - np.median(output_n[question.seen_N[rows]])
    ids_n = question.target.ids_N[rows]
    own = Labeling(
        name=f"untrained:{question.config.learner}",
        classes=("0", "1"),
        labels_N=(coordinate_n > 0).astype(np.int64),
        ids_N=ids_n,
        coordinates_NC=coordinate_n[:, None].astype(np.float32),
    )
    target = replace(
        question.target,
        labels_N=question.target.labels_N[rows],
        ids_N=ids_n,
        coordinates_NC=None,
        seen_N=None,
    )
    made = Candidate(task=own, orientation="same", group=groups_of(own, target))
    found = made.sides(target, question.balanced)
    train, known = np.zeros_like(template.sides.train), np.zeros_like(template.sides.known)
    train[rows], known[rows] = found.train, True
    sides = replace(template.sides, train=train, known=known)
    return sides.whole(question.bench.dataset.groups)


def _hard(template: Template) -> Sides:
    return template.by_order(
        held_out_loss(template.question, template.rows, template.meter), template.rows
    )


def _kmeans(template: Template) -> Sides:
    return template.by_order(_clusters(template), template.rows)


#: how each control is made.
CONTROLS: dict[str, Callable[[Template], Sides]] = {
    "random": _random,
    "untrained": _untrained,
    "hard": _hard,
    "kmeans": _kmeans,
}

#: with how many outputs untrained networks are built that a control asks.
UNTRAINED = {"untrained": 1, "kmeans": 1}


def _clusters(template: Template) -> FloatArray:
    """Return (n,): how much nearer an image is to one cluster than to the other."""
    question, seed = template.question, template.question.config.seed
    features_nF = template.untrained[0]
    own = np.flatnonzero(question.seen_N[template.rows])
    features_nF = (features_nF - features_nF[own].mean(axis=0)) / np.maximum(
        features_nF[own].std(axis=0), 1e-9
    )
    few = partition.sample(own, 10_000, seed, "kmeans")
    clusters = KMeans(2, n_init=4, random_state=derive(seed, "kmeans") % 2**32)
    distances_n2 = clusters.fit(features_nF[few]).transform(features_nF)
    return np.asarray(distances_n2[:, 0] - distances_n2[:, 1], dtype=np.float64)
