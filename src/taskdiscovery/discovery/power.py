"""Discovery by power iteration: train, predict what was not trained on, whiten, repeat.

Training is an operator: labels in, predictions on unseen images out. Where networks behave like
a fixed kernel it is a smoother, and the labelings that survive it best are its top eigenfunctions;
block power iteration finds them with no second derivative anywhere.

Axes: N training images, D coordinates. Source: DESIGN of this project; it has no paper yet.

Within the span of the coordinates every rotation is as good an eigenspace; with `rotate` the one
is taken whose coordinates are most two-valued, so that a task separates groups rather than cuts a
continuum.

Targets are squashed coordinates, or the coordinates as they are. Squashing pulls them towards two
values, and makes the operator nonlinear: it turns the subspace away from the eigenspace. Without it
the iteration is that of linear algebra, and its noise, that of single trainings, averages away.

Still imperfect: the held-out correlation is measured against the targets, which flatters smooth
ones and cannot be compared between squashed and linear ones; and tasks of more than two classes
are not rotated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from taskdiscovery import subspace
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.errors import NumericalError
from taskdiscovery.executors import Executor, Piece
from taskdiscovery.journal import Journal, Unit
from taskdiscovery.progress import Meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.subspace import Table, Whitened
from taskdiscovery.training import Learner, Pixels, Training
from taskdiscovery.types import Float32, FloatArray, IntArray


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """What one power iteration found.

    Attributes:
        number: from 1.
        coordinates: (N, D) whitened held-out predictions, the Y of the next iteration.
        correlation: (D,) held-out correlation of the predictions with their targets.
        chance: correlation that 99 % of permuted labelings stay below.
        angle: root mean square of the principal angles by which the subspace turned, in degrees.
        rank: directions above the whitening floor.
        settled: whether the subspace turned by as much as in the iteration before.
        replayed: whether it was done in an earlier sitting.
        history: the numbers of all iterations up to this one.
    """

    number: int
    coordinates: Table
    correlation: FloatArray
    chance: float
    angle: float
    rank: int
    settled: bool = False
    replayed: bool = False
    history: tuple[dict[str, Any], ...] = ()

    def to_row(self) -> dict[str, Any]:
        """Return its numbers, as in `result.json`."""
        return {
            "iteration": self.number,
            "correlation": round(float(self.correlation.mean()), 4),
            "least": round(float(self.correlation.min()), 4),
            "turned_degrees": round(self.angle, 2),
            "rank": self.rank,
        }


@dataclass(frozen=True, kw_only=True)
class Constraints:
    """What the coordinates must be free of, and where they are whitened.

    Attributes:
        excluded: (N, E) columns to be projected out, or None.
        groups: (N,) classes within which to whiten, or None.
    """

    excluded: FloatArray | None = None
    groups: IntArray | None = None

    def apply(self, coordinates_ND: Table) -> Whitened:
        """Project out, then whiten (within groups)."""
        if self.excluded is not None:
            coordinates_ND = subspace.project_out(coordinates_ND, self.excluded)
        if self.groups is not None:
            return subspace.whiten_within(coordinates_ND, self.groups)
        return subspace.whiten(coordinates_ND)


def iterate(
    start: Callable[[], Table],
    learner: Learner,
    images: Tensor,
    rows: IntArray,
    pixels: Pixels,
    constraints: Constraints,
    config: DiscoverConfig,
    meter: Meter,
    journal: Journal,
    crew: Executor,
) -> Iterator[Iteration]:
    """Iterate until the subspace stops turning, or `config.iterations` is reached.

    Args:
        start: makes the whitened (N, D) coordinates to start from.
        learner: what is trained on every fold.
        images: (·, H, W, channels) uint8 on the learner's device.
        rows: (N,) the training images among them; nothing else is looked at.
        pixels: pixel normalization.
        constraints: what to project out, where to whiten.
        config: targets, folds, runs, iterations, average, tolerance, seed.
        meter: told of every image passed through.
        journal: remembers finished iterations; the last one of an earlier sitting comes first.
        crew: does the trainings.

    Yields:
        Every iteration as it ends.

    Raises:
        NumericalError: where the predictions collapse to constants or training diverges.
    """
    last = _remembered(journal)
    if last is not None:
        yield last
    while last is None or (last.number < config.iterations and not last.settled):
        coordinates_ND = start() if last is None else last.coordinates
        last = _iteration(
            coordinates_ND, last, learner, images, rows, pixels, constraints, config, meter, crew
        )
        arrays = {"coordinates": last.coordinates, "correlation": last.correlation}
        names = ("number", "chance", "angle", "rank", "settled", "history")
        values = {name: getattr(last, name) for name in names}
        # Whole iterations take the place of their folds.
        journal.put(_KEY, Unit(values=values, arrays=arrays), forget=_KEY)
        yield last


_KEY = "power"


def _remembered(journal: Journal) -> Iteration | None:
    known = journal.get(_KEY)
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
    coordinates_ND: Table,
    before: Iteration | None,
    learner: Learner,
    images: Tensor,
    rows: IntArray,
    pixels: Pixels,
    constraints: Constraints,
    config: DiscoverConfig,
    meter: Meter,
    crew: Executor,
) -> Iteration:
    number = 1 if before is None else before.number + 1
    if config.rotate and config.classes == 2:
        rotation_DD = subspace.bimodal_rotation(coordinates_ND)
        coordinates_ND = subspace.apply(coordinates_ND, rotation_DD, np.zeros(len(rotation_DD)))
    squashed = config.targets == "squashed"
    targets_ND = soft_targets(coordinates_ND) if squashed else coordinates_ND.astype(np.float32)
    predictions_ND = crossfit(
        targets_ND, learner, images, rows, pixels, config, number, meter, crew
    )
    correlation_D, chance = held_out_correlation(predictions_ND, targets_ND, config, number)
    try:
        whitened = constraints.apply(predictions_ND)
        # Iterations averaged: this one is the last of so many.
        if (count := number - config.iterations + config.average) > 1:
            mean_ND = coordinates_ND + (whitened.coordinates - coordinates_ND) / np.float32(count)
            whitened = replace(constraints.apply(mean_ND), rank=whitened.rank)
    except ValueError as error:
        raise NumericalError(
            f"the embedding collapsed in iteration {number}: {error}",
            where="--method power",
            mend="train longer (--epochs), ask for fewer tasks, or lower --learning-rate",
        ) from error
    angles = subspace.turn(coordinates_ND, whitened.coordinates)
    angle = float(np.sqrt((angles**2).mean()))
    found = Iteration(
        number=number,
        coordinates=whitened.coordinates,
        correlation=correlation_D,
        chance=chance,
        angle=angle,
        rank=whitened.rank,
        # Training is noisy, so the subspace never stands still: it has settled when it turns by
        # as much as in the iteration before.
        settled=config.average == 1
        and before is not None
        and abs(before.angle - angle) < config.tolerance,
    )
    return replace(found, history=(*(before.history if before else ()), found.to_row()))


def soft_targets(coordinates_ND: Table) -> Float32:
    """Return g(Y): tanh(2Y), each column standardized. It pulls coordinates towards two values."""
    squashed_ND = np.tanh(2 * coordinates_ND).astype(np.float32)
    spread_D = np.sqrt(np.diag(subspace.covariance(squashed_ND)))
    squashed_ND -= subspace.mean(squashed_ND).astype(np.float32)
    squashed_ND /= np.maximum(spread_D, 1e-12).astype(np.float32)
    return squashed_ND


def crossfit(
    targets_ND: Float32,
    learner: Learner,
    images: Tensor,
    rows: IntArray,
    pixels: Pixels,
    config: DiscoverConfig,
    number: int,
    meter: Meter,
    crew: Executor,
) -> Float32:
    """Predict every image by learners that have not seen it.

    The folds are drawn anew in every iteration: with fixed folds the halves decouple, and
    labelings whose meaning flips between them are never damped.

    Returns:
        (N, D) held-out predictions, centred within each fold, averaged over `config.runs`.
    """
    N, D = targets_ND.shape
    shape = tuple(int(n) for n in images.shape[1:])
    order_N = generator(config.seed, "folds", number).permutation(N)
    pieces: list[tuple[IntArray, Piece]] = []
    for fold, held_out in enumerate(np.array_split(order_N, config.folds)):
        used = np.setdiff1d(order_N, held_out)
        for run in range(config.runs):
            seed = derive(config.seed, "crossfit", number, fold, run)
            training = Training(
                learner=learner,
                shape=(shape[0], shape[1], shape[2]),
                pixels=pixels,
                outputs=D,
                rows=rows[used],
                targets=targets_ND[used],
                loss="squared error",
                measured=rows[held_out],
                init_seed=derive(seed, "init"),
                order_seed=seed,
            )
            key = f"{_KEY}/{number}/fold {fold}/run {run}"
            pieces.append((held_out, Piece(key=key, training=training, keep=_outputs)))
    crew.begin([piece for _, piece in pieces], meter)
    predictions_ND = np.zeros((N, D), dtype=np.float32)
    for held_out, piece in pieces:
        outputs = crew.unit(piece, meter).arrays["outputs"]
        centre_D = outputs.mean(axis=0, dtype=np.float64).astype(np.float32)
        predictions_ND[held_out] += (outputs - centre_D) / np.float32(config.runs)
    return predictions_ND


def _outputs(outputs: Tensor) -> Unit:
    return Unit(arrays={"outputs": outputs.numpy()})


def held_out_correlation(
    predictions_ND: Table, targets_ND: Table, config: DiscoverConfig, number: int
) -> tuple[FloatArray, float]:
    """Return (D,) correlations and the 99 % quantile of those with permuted labels."""
    rng = generator(config.seed, "permuted labels", number)
    permuted = [
        subspace.column_correlations(predictions_ND, targets_ND[rng.permutation(len(targets_ND))])
        for _ in range(max(1, -(-200 // targets_ND.shape[1])))
    ]
    chance = float(np.quantile(np.abs(permuted), 0.99))
    return subspace.column_correlations(predictions_ND, targets_ND), chance
