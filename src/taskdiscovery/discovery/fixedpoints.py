"""The search of `pursuit` for tasks of two classes: fixed points of learning, and which are chosen.

Starts are iterated on a sample of the rows, in groups that the journal remembers; the best are
refined on all of them, and chosen by what they are there.

Axes: N training images in the order of the table, n of them in the sample, R reduced features,
S starts, D tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.modes import Modes, above, distinct
from taskdiscovery.discovery.problem import Found, Problem
from taskdiscovery.discovery.pursuit_options import PursuitOptions
from taskdiscovery.discovery.settling import FEW, SIGNS, excess_of_noise, settled, signs
from taskdiscovery.discovery.starts import starts
from taskdiscovery.discovery.tables import Prepared
from taskdiscovery.discovery.trivial import explained_by_statistics
from taskdiscovery.errors import NumericalError
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, Float32, FloatArray, IntArray, Record

#: starts that are iterated side by side.
_GROUP = 64
#: for each task that is wanted, so many are refined on all rows.
_SPARE = 2


def search(problem: Problem, options: PursuitOptions) -> Found:
    """Find tasks of two classes on features.

    Args:
        problem: with features.
        options: of the method.

    Raises:
        NumericalError: where no labeling falls in two.
    """
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        whole = Prepared.of(problem, options)
        searched = whole.within(whole.problem.constraints.groups)
        few = searched.some(options.sample)
        points, least = _points(few, options)
        if few is searched:  # starts were iterated on all rows
            chosen = _chosen(points.sides_nS, points, options, least, problem.tasks)
            refined = _measured(searched, points, chosen)
            chosen = np.arange(len(chosen))
        else:
            spare = _SPARE * problem.tasks
            candidates = _chosen(points.sides_nS, points, options, least, spare)
            refined = _refined(searched, points.weights_RS[:, candidates])
            sides_ND = refined.above_ND > 0
            chosen = _chosen(sides_ND, refined.modes, options, least, problem.tasks)
        return _found(whole, searched, refined, chosen, len(few.problem.rows), least)


@dataclass(frozen=True, eq=False, kw_only=True)
class Points:
    """Fixed points of learning.

    Attributes:
        weights_RS: of the ridge that repeats each.
        bimodality_S: J, of predictions on rows that were held out.
        excess_S: by how much J exceeds that of a Gaussian cut at the same share.
        sides_nS: which side each row is on.
    """

    weights_RS: FloatArray
    bimodality_S: FloatArray
    excess_S: FloatArray
    sides_nS: BoolArray

    def some(self, chosen: IntArray) -> Points:
        """Return some of them."""
        return Points(
            weights_RS=self.weights_RS[:, chosen],
            bimodality_S=self.bimodality_S[chosen],
            excess_S=self.excess_S[chosen],
            sides_nS=self.sides_nS[:, chosen],
        )


def _chosen(
    sides_NS: BoolArray, found: Points | Modes, options: PursuitOptions, least: float, most: int
) -> IntArray:
    """Return the positions of the best, by falling excess.

    Raises:
        NumericalError: where none falls in two.
    """
    enough_S = found.bimodality_S >= (options.bimodality or 0.0)
    chosen = distinct(
        sides_NS, np.where(enough_S, found.excess_S, -np.inf), options.cap, least, most
    )
    if len(chosen):
        return chosen
    best = int(found.excess_S.argmax())
    wanted = f"{found.bimodality_S[best] - found.excess_S[best] + least:.3f}"
    if options.bimodality is not None:
        wanted = f"{options.bimodality:.3f}"
    raise NumericalError(
        f"no labeling falls in two: the share of variance between the sides is "
        f"{found.bimodality_S[best]:.3f} at most, and {wanted} is wanted",
        where="--method pursuit",
        hint="give more images or other features, or lower --bimodality",
    )


def _points(few: Prepared, options: PursuitOptions) -> tuple[Points, float]:
    """Return the fixed points that all starts end in, and the excess that noise reaches."""
    journal, seed = few.problem.workbench.journal, few.problem.seed
    groups_n, n = few.problem.constraints.groups, len(few.problem.rows)
    begun_nS = starts(few, options.starts)
    S = begun_nS.shape[1]
    records: list[Record] = []

    def by_chance(watch: object) -> Record:
        excess = excess_of_noise(few.blocks, options.rounds, seed, groups_n)
        return Record(values={"excess": excess})

    with few.problem.workbench.callbacks.stage("pursuit", S) as meter:
        for first in range(0, S, _GROUP):
            own_nS = begun_nS[:, first : first + _GROUP]

            def settle(watch: object, own_nS: Float32 = own_nS) -> Record:
                z_nS = settled(few.blocks, own_nS, options.rounds, seed, groups_n)
                above_nS, found = above(z_nS, groups_n)
                weights_RS = few.blocks.fit(signs(above_nS, groups_n))
                sides = np.packbits(above_nS > 0, axis=0)
                modes = {"bimodality": found.bimodality_S, "excess": found.excess_S}
                return Record(arrays={"weights": weights_RS, "sides": sides, **modes})

            records.append(journal.do(f"pursuit/{first}", settle))
            meter.advance(own_nS.shape[1])
        least = -1.0
        if options.bimodality is None:
            known = journal.do("pursuit/noise", by_chance)
            least = float(known.values["excess"])
    joined = {
        name: np.concatenate([record.arrays[name] for record in records], axis=-1)
        for name in ("weights", "bimodality", "excess", "sides")
    }
    sides_nS = np.unpackbits(joined["sides"], axis=0, count=n).astype(np.bool_)
    points = Points(
        weights_RS=joined["weights"],
        bimodality_S=joined["bimodality"],
        excess_S=joined["excess"],
        sides_nS=sides_nS,
    )
    return points, least


@dataclass(frozen=True, eq=False, kw_only=True)
class Refined:
    """Candidates as they are on all rows.

    Attributes:
        above_ND: (N, D) held-out predictions, less their thresholds.
        modes: J of each, among others.
        correlation_D: of held-out predictions with the labels that they are of.
    """

    above_ND: Float32
    modes: Modes | Points
    correlation_D: FloatArray


def _measured(searched: Prepared, points: Points, chosen: IntArray) -> Refined:
    """Take points as they are, and predict them once more on rows that were held out."""
    above_ND = np.where(points.sides_nS[:, chosen], 1, -1).astype(np.float32)
    targets_ND = signs(above_ND, searched.problem.constraints.groups)
    rng = generator(searched.problem.seed, "pursuit", "measured")
    correlation_D = subspace.column_correlations(
        searched.blocks.held_out(targets_ND, rng), targets_ND
    )
    return Refined(above_ND=above_ND, modes=points.some(chosen), correlation_D=correlation_D)


def _refined(searched: Prepared, weights_RD: FloatArray) -> Refined:
    """Repeat the last rounds on all rows, and measure there."""
    groups_N, seed = searched.problem.constraints.groups, searched.problem.seed
    z_ND = searched.blocks.predict(weights_RD)
    with searched.problem.workbench.callbacks.stage("refining on all images", SIGNS) as meter:
        for number in range(SIGNS):
            targets_ND = signs(above(z_ND, groups_N, FEW)[0], groups_N)
            rng = generator(seed, "pursuit", "refined", number)
            z_ND = searched.blocks.held_out(targets_ND, rng)
            meter.advance(1)
    above_ND, found = above(z_ND, groups_N)
    correlation_D = subspace.column_correlations(z_ND, targets_ND)
    return Refined(above_ND=above_ND, modes=found, correlation_D=correlation_D)


def _found(
    whole: Prepared,
    searched: Prepared,
    refined: Refined,
    chosen: IntArray,
    sample: int,
    least: float,
) -> Found:
    """Fit the encoder to the labels of the chosen, and say what is known of them."""
    problem, groups_N = whole.problem, whole.problem.constraints.groups
    targets_ND = signs(refined.above_ND[:, chosen], groups_N)
    reproduced_D = _reproduced(searched, targets_ND)
    weights_RD = whole.blocks.fit(targets_ND)
    fitted_ND = whole.blocks.predict(weights_RD)
    final = above(fitted_ND)[1]
    encoder = whole.encoder(weights_RD / final.spread_S, final.threshold_S / final.spread_S)
    assert problem.features is not None
    quality = {
        "crossfit_correlation": refined.correlation_D[chosen],
        "bimodality": refined.modes.bimodality_S[chosen],
        "excess": refined.modes.excess_S[chosen],
        "reproducibility": reproduced_D,
    }
    trivial_D = explained_by_statistics(problem, fitted_ND)
    if trivial_D is not None:
        quality["explained_by_statistics"] = trivial_D
    return Found(
        encoder=encoder,
        outputs=encoder.transform(problem.features, problem.workbench.learner.device),
        quality=quality,
        numbers={
            "learner": "ridge",
            "features": whole.described(),
            "pursuit": {
                "sample": sample,
                "components": whole.blocks.table_NR.shape[1],
                "least_excess": round(float(least), 4),
            },
        },
    )


def _reproduced(searched: Prepared, targets_ND: Float32) -> FloatArray:
    """Return |φ| between the labels of all rows that two disjoint halves of them lead to.

    Each half repeats the last rounds by itself, from the labels that were found.
    """
    seed, groups_N = searched.problem.seed, searched.problem.constraints.groups
    halves, labels = searched.blocks.halves(), []
    middle = len(halves[0].table_NR)
    for number, rows in enumerate((slice(middle), slice(middle, None))):
        groups_n = None if groups_N is None else groups_N[rows]
        own_nD = signs(targets_ND[rows], groups_n)
        for i in range(SIGNS):
            rng = generator(seed, "pursuit", "reproduced", number, i)
            z_nD = halves[number].held_out(own_nD, rng)
            own_nD = signs(above(z_nD, groups_n, FEW)[0], groups_n)
        z_ND = searched.blocks.predict(halves[number].fit(own_nD))
        labels.append(signs(above(z_ND, groups_N, FEW)[0], groups_N))
    return np.abs(subspace.column_correlations(*labels))
