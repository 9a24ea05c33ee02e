"""One power iteration after another.

Axes: N training images, P coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from taskdiscovery.data import partition
from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.fitting import untrained_features
from taskdiscovery.discovery.power_options import PowerOptions
from taskdiscovery.discovery.problem import Problem
from taskdiscovery.discovery.targets import soft_targets
from taskdiscovery.errors import NumericalError
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.training import Request, Seeds, Training
from taskdiscovery.types import Document, Float32, FloatArray, IntArray, Matrix, Record


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """What one power iteration found.

    Attributes:
        number: from 1.
        coordinates: (N, P) whitened held-out predictions, those to be trained on next.
        correlation: (P,) held-out correlation of the predictions with their targets.
        chance: correlation that 99 % of permuted labelings stay below.
        angle: root mean square of the principal angles by which the subspace turned, in degrees.
        rank: directions above the whitening floor.
        converged: whether the subspace turned by as much as in the iteration before.
        replayed: whether it was done in an earlier sitting.
        history: the numbers of all iterations up to this one.
    """

    number: int
    coordinates: Matrix
    correlation: FloatArray
    chance: float
    angle: float
    rank: int
    converged: bool = False
    replayed: bool = False
    history: tuple[Document, ...] = ()

    def to_row(self) -> Document:
        """Return its numbers, as in `result.json`."""
        return {
            "iteration": self.number,
            "correlation": round(float(self.correlation.mean()), 4),
            "least": round(float(self.correlation.min()), 4),
            "turned_degrees": round(self.angle, 2),
            "rank": self.rank,
        }


def start(problem: Problem, what: str) -> Float32:
    """Return the whitened (N, P) coordinates that power iteration starts from.

    Args:
        problem: images and learner.
        what: `features`, `pixels` or `noise`.
    """
    count, rows = problem.P, problem.rows
    start_NP = generator(problem.seed, "start").normal(size=(len(rows), count))
    if what != "noise":
        features_NF = untrained_features(problem, what).table_NF
        count = min(count, features_NF.shape[1])  # where features are too few: noise
        mean_F, directions = subspace.principal_components(features_NF, count)
        start_NP[:, :count] = subspace.apply(features_NF, directions, mean_F)
    return problem.constraints.apply(start_NP).coordinates.astype(np.float32)


def iterate(
    problem: Problem,
    options: PowerOptions,
    start: Callable[[], Matrix],
    held_out: Callable[[Float32, int], Float32],
) -> Iterator[Iteration]:
    """Iterate until the subspace stops turning, or `options.iterations` is reached.

    Args:
        problem: images, learner, constraints; its journal remembers finished iterations, and the
            last one of an earlier sitting comes first.
        options: targets, folds, runs, iterations, average, tolerance.
        start: makes the whitened (N, P) coordinates to start from.
        held_out: from (N, P) targets, and the number of the iteration, to predictions of every
            image by learners that have not seen it.

    Yields:
        Every iteration as it ends.

    Raises:
        NumericalError: where the predictions collapse to constants or training diverges.
    """
    journal = problem.workbench.journal
    last = _remembered(journal.get(_KEY))
    if last is not None:
        yield last
    while last is None or (last.number < options.iterations and not last.converged):
        coordinates_NP = start() if last is None else last.coordinates
        last = _iteration(problem, options, coordinates_NP, last, held_out)
        arrays = {"coordinates": last.coordinates, "correlation": last.correlation}
        names = ("number", "chance", "angle", "rank", "converged", "history")
        values = {name: getattr(last, name) for name in names}
        # Whole iterations take the place of their folds.
        journal.put(_KEY, Record(values=values, arrays=arrays), forget=_KEY)
        yield last


_KEY = "power"
#: rows that labels are permuted among.
_PERMUTED = 200_000


def _remembered(known: Record | None) -> Iteration | None:
    if known is None:
        return None
    values = {**known.values, "history": tuple(known.values["history"])}
    return Iteration(
        coordinates=known.arrays["coordinates"],
        correlation=known.arrays["correlation"],
        replayed=True,
        **values,
    )


def _iteration(
    problem: Problem,
    options: PowerOptions,
    coordinates_NP: Matrix,
    before: Iteration | None,
    held_out: Callable[[Float32, int], Float32],
) -> Iteration:
    number = 1 if before is None else before.number + 1
    if options.rotate and problem.classes == 2:
        rotation_PP = subspace.bimodal_rotation(coordinates_NP)
        coordinates_NP = subspace.apply(coordinates_NP, rotation_PP, np.zeros(len(rotation_PP)))
    squashed = options.targets == "squashed"
    targets_NP = soft_targets(coordinates_NP) if squashed else coordinates_NP.astype(np.float32)
    predictions_NP = held_out(targets_NP, number)
    correlation_P, chance = held_out_correlation(predictions_NP, targets_NP, problem.seed, number)
    constraints = problem.constraints
    try:
        whitened = constraints.apply(predictions_NP)
        # Iterations averaged: this one is the last of so many.
        if (count := number - options.iterations + options.average) > 1:
            mean_NP = coordinates_NP + (whitened.coordinates - coordinates_NP) / np.float32(count)
            whitened = replace(constraints.apply(mean_NP), rank=whitened.rank)
    except ValueError as error:
        raise NumericalError(
            f"the embedding collapsed in iteration {number}: {error}",
            where="--method power",
            hint="train longer (--epochs), ask for fewer tasks, or lower --learning-rate",
        ) from error
    angles = subspace.turn(coordinates_NP, whitened.coordinates)
    angle = float(np.sqrt((angles**2).mean()))
    found = Iteration(
        number=number,
        coordinates=whitened.coordinates,
        correlation=correlation_P,
        chance=chance,
        angle=angle,
        rank=whitened.rank,
        # Training is noisy, so the subspace never stands still: it has converged when it turns by
        # as much as in the iteration before.
        converged=options.average == 1
        and before is not None
        and abs(before.angle - angle) < options.tolerance,
    )
    return replace(found, history=(*(before.history if before else ()), found.to_row()))


def crossfit(
    problem: Problem, options: PowerOptions, targets_NP: Float32, number: int, meter: Meter
) -> Float32:
    """Predict every image by learners that have not seen it.

    The folds are drawn anew in every iteration: with fixed folds the halves decouple, and
    labelings whose meaning flips between them are never damped.

    Returns:
        (N, P) held-out predictions, centred within each fold, averaged over `options.runs`.
    """
    bench, rows = problem.workbench, problem.rows
    N, P = targets_NP.shape
    rng, groups = generator(problem.seed, "folds", number), bench.dataset.groups
    parts = partition.cut(
        np.arange(N), options.folds, rng, None if groups is None else groups[rows]
    )
    requests: list[tuple[IntArray, Request]] = []
    for fold, held_out in enumerate(parts):
        used = np.setdiff1d(np.arange(N), held_out)
        for run in range(options.runs):
            seed = derive(problem.seed, "crossfit", number, fold, run)
            training = Training(
                learner=bench.learner,
                shape=bench.shape,
                normalization=bench.normalization,
                outputs=P,
                rows=rows[used],
                targets=targets_NP[used],
                loss="squared error",
                measured=rows[held_out],
                seeds=Seeds(derive(seed, "init"), seed),
                groups=partition.draws(groups, rows[used]),
            )
            key = f"{_KEY}/{number}/fold {fold}/run {run}"
            requests.append((held_out, Request(key=key, training=training, keep=_outputs)))
    bench.executor.submit([request for _, request in requests], meter)
    predictions_NP = np.zeros((N, P), dtype=np.float32)
    for held_out, request in requests:
        outputs = bench.executor.result(request, meter).arrays["outputs"]
        centre_P = outputs.mean(axis=0, dtype=np.float64).astype(np.float32)
        predictions_NP[held_out] += (outputs - centre_P) / np.float32(options.runs)
    return predictions_NP


def _outputs(outputs: Tensor) -> Record:
    return Record(arrays={"outputs": outputs.numpy()})


def held_out_correlation(
    predictions_NP: Matrix, targets_NP: Matrix, seed: int, number: int
) -> tuple[FloatArray, float]:
    """Return (P,) correlations and the 99 % quantile of those with permuted labels.

    Of millions of rows some tell it: it falls with the square root of their number.
    """
    rng, N = generator(seed, "permuted labels", number), len(targets_NP)
    few = np.linspace(0, N - 1, min(N, _PERMUTED)).astype(np.int64)
    permuted = [
        subspace.column_correlations(
            predictions_NP[few], targets_NP[few[rng.permutation(len(few))]]
        )
        for _ in range(max(1, -(-200 // targets_NP.shape[1])))
    ]
    chance = float(np.quantile(np.abs(permuted), 0.99) * np.sqrt(len(few) / N))
    return subspace.column_correlations(predictions_NP, targets_NP), chance
