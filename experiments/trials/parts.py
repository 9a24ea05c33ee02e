"""What trials are made of: held-out predictions, Ritz steps, tasks trained alone.

Axes: N training images, P coordinates, D tasks, R runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg
from torch import Tensor

from taskdiscovery.data import partition
from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.iteration import crossfit
from taskdiscovery.discovery.power_options import PowerOptions
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.discovery.targets import soft_targets
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.training import Request, Seeds
from taskdiscovery.types import BoolArray, Float32, FloatArray, IntArray, Labeling, Matrix, Record

#: of agreement, for a |φ| of one with all that were chosen.
PRICES = (0.0, *np.geomspace(0.05, 20, 27).tolist())


@dataclass(frozen=True, eq=False, kw_only=True)
class Trainer:
    """Trains for trials, on a problem's images.

    Attributes:
        problem: images, learner, seed.
        options: folds.
        meter: told of progress.
    """

    problem: Problem
    options: PowerOptions
    meter: Meter

    def held_out(self, targets_NP: Float32, number: int, runs: int = 1) -> list[Float32]:
        """Return (N, P) held-out predictions of each of some runs, each with folds of its own."""
        once = replace(self.options, runs=1)
        return [
            crossfit(self.problem, once, targets_NP, 1000 * number + run, self.meter)
            for run in range(runs)
        ]

    def alone(self, coordinates_ND: Matrix, number: int) -> Float32:
        """Return (N, D) held-out logits of networks that are trained on one task each.

        They are trained as `score` trains: cross-entropy on hard labels; by the recipe of the
        search. Each fold's logits are put at median zero and a deviation of one.
        """
        labels_ND = sides(coordinates_ND).astype(np.int64)
        result_ND = np.zeros(labels_ND.shape, dtype=np.float32)
        folds = self._parts("alone", number)
        asked = [
            (held, d, self._one(labels_ND[:, d], held, ("alone", number, d, f)))
            for d in range(labels_ND.shape[1])
            for f, held in enumerate(folds)
        ]
        executor = self.problem.workbench.executor
        executor.submit([request for _, _, request in asked], self.meter)
        for held, d, request in asked:
            margin_n = executor.result(request, self.meter).arrays["margin"]
            middle_n = margin_n - np.median(margin_n)
            result_ND[held, d] = middle_n / max(float(middle_n.std()), 1e-6)
        return result_ND

    def agreed(self, coordinates_ND: Matrix, number: int) -> FloatArray:
        """Return (D,) how alike two networks, trained on one half, predict the other half."""
        labels_ND = sides(coordinates_ND).astype(np.int64)
        used, held = self._parts("agreed", number)
        del used
        asked = [
            [self._one(labels_ND[:, d], held, ("agreed", number, d, run)) for run in range(2)]
            for d in range(labels_ND.shape[1])
        ]
        executor = self.problem.workbench.executor
        executor.submit([request for pair in asked for request in pair], self.meter)
        found = []
        for pair in asked:
            first, second = (
                executor.result(request, self.meter).arrays["margin"] > 0 for request in pair
            )
            found.append(float((first == second).mean()))
        return np.array(found)

    def _parts(self, *key: str | int) -> list[IntArray]:
        N = len(self.problem.rows)
        return partition.cut(
            np.arange(N), self.options.folds, generator(self.problem.seed, "trial", *key), None
        )

    def _one(self, labels_N: IntArray, held: IntArray, key: tuple[str | int, ...]) -> Request:
        bench, rows = self.problem.workbench, self.problem.rows
        everywhere = np.full(len(bench.dataset), -1, dtype=np.int64)
        everywhere[rows] = labels_N
        labeling = Labeling(
            name="one", classes=("0", "1"), labels_N=everywhere, ids_N=bench.dataset.ids
        )
        seed = derive(self.problem.seed, "trial", *key)
        training = bench.training(
            labeling,
            rows[np.setdiff1d(np.arange(len(rows)), held)],
            rows[held],
            Seeds(derive(seed, "init"), derive(seed, "order")),
        )
        return Request(key="trial/" + "/".join(map(str, key)), training=training, keep=_margin)


def _margin(outputs: Tensor) -> Record:
    return Record(arrays={"margin": (outputs[:, 1] - outputs[:, 0]).float().numpy()})


def sides(coordinates_ND: Matrix) -> BoolArray:
    """Return (N, D) which images lie above the median."""
    result_ND: BoolArray = coordinates_ND > np.median(coordinates_ND, axis=0)
    return result_ND


def white(coordinates_ND: Matrix) -> Float32:
    """Return coordinates that are uncorrelated, in float32."""
    return subspace.whiten(coordinates_ND).coordinates.astype(np.float32)


def turned(coordinates_ND: Matrix) -> Float32:
    """Return white coordinates, turned so that each cuts the images in two clear groups."""
    white_ND = white(coordinates_ND)
    turn_DD = subspace.bimodal_rotation(white_ND)
    return subspace.apply(white_ND, turn_DD, np.zeros(len(turn_DD))).astype(np.float32)


def reliable(predictions: Sequence[Float32], count: int) -> Float32:
    """Return the (N, count) coordinates in the span of predictions on which runs agree best.

    Of all directions v the ones of greatest vᵀS v / vᵀT v, where T is the mean covariance within
    a run, and S that between two of them, which noise has no part in.
    """
    total_PP = np.mean([subspace.covariance(own) for own in predictions], axis=0)
    sum_NP = np.sum(predictions, axis=0)
    R = len(predictions)
    between_PP = (subspace.covariance(sum_NP) - R * total_PP) / (R * (R - 1))
    ridge = 1e-6 * float(np.trace(total_PP)) / len(total_PP)
    _, vectors_PP = linalg.eigh(between_PP, total_PP + ridge * np.eye(len(total_PP)))
    chosen_PD = vectors_PP[:, ::-1][:, :count]
    return white(subspace.apply(sum_NP / np.float32(R), chosen_PD, subspace.mean(sum_NP) / R))


def krylov(spans: Sequence[Float32], images: Sequence[Float32], count: int) -> Float32:
    """Return the Ritz vectors of training within the spans of several iterations.

    Args:
        spans: (N, P) linear targets of each.
        images: (N, P) held-out predictions for them.
        count: how many.
    """
    span_NS, image_NS = np.concatenate(spans, axis=1), np.concatenate(images, axis=1)
    gram_SS = subspace.covariance(span_NS)
    moved_SS = subspace.covariance(span_NS, image_NS)
    moved_SS = (moved_SS + moved_SS.T) / 2
    ridge = 1e-3 * float(np.trace(gram_SS)) / len(gram_SS)  # the spans are nearly one
    _, vectors_SS = linalg.eigh(moved_SS, gram_SS + ridge * np.eye(len(gram_SS)))
    chosen_SD = vectors_SS[:, ::-1][:, :count]
    return white(subspace.apply(image_NS, chosen_SD, subspace.mean(image_NS)))


def surest(predictions: Sequence[Float32]) -> Float32:
    """Return targets with margins: squashed means, zero where two runs' sides differ."""
    first, second = predictions
    targets_NP = soft_targets(white(first + second))
    targets_NP[(first > 0) != (second > 0)] = 0.0
    targets_NP /= np.maximum(targets_NP.std(axis=0), 1e-6)
    return targets_NP


def parities(coordinates_ND: Matrix, of: int) -> Float32:
    """Return products of every two of the first coordinates' sides, as coordinates."""
    of = min(of, coordinates_ND.shape[1])
    signs_NO = np.where(sides(coordinates_ND[:, :of]), 1.0, -1.0).astype(np.float32)
    pairs = [(i, j) for i in range(of) for j in range(i)]
    weight_NO = np.abs(coordinates_ND[:, :of])
    columns = [
        signs_NO[:, i] * signs_NO[:, j] * np.minimum(weight_NO[:, i], weight_NO[:, j])
        for i, j in pairs
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def best_apart(
    coordinates_NC: Matrix, agreed_C: FloatArray, count: int, similarity: float
) -> IntArray:
    """Choose candidates of high agreement, hardly alike in the mean.

    They are taken one by one: each time the one of the greatest agreement, less a price times its
    mean |φ| with those that were taken. The price is the least, of some, at which the mean
    similarity, (1 + |φ|) / 2, is within the bound.

    Args:
        coordinates_NC: of all candidates.
        agreed_C: their measured agreement.
        count: how many to choose.
        similarity: the bound; where no price keeps to it, the greatest price is paid.
    """
    signs_NC = np.where(sides(coordinates_NC), 1.0, -1.0).astype(np.float32)
    alike_CC = np.abs(signs_NC.T @ signs_NC) / len(signs_NC)
    chosen: list[int] = []
    for price in PRICES:
        chosen, sum_C = [], np.zeros(len(agreed_C))
        for number in range(count):
            worth_C = agreed_C - price * sum_C / max(number, 1)
            worth_C[chosen] = -np.inf
            chosen.append(int(worth_C.argmax()))
            sum_C += alike_CC[chosen[-1]]
        pairs = alike_CC[np.ix_(chosen, chosen)][np.triu_indices(count, 1)]
        if (1 + pairs.mean()) / 2 <= similarity:
            break
    return np.array(chosen)
