"""Power iteration on features, by ridges in closed form: no network, and nothing to train.

The operator is linear but for the targets: an iteration is two passes of products with the table,
since the Gram matrices of its blocks are taken once.

Axes: N training images in the order of the table, R reduced features, P coordinates.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from taskdiscovery.discovery import subspace
from taskdiscovery.discovery.iteration import Iteration, iterate
from taskdiscovery.discovery.power_options import PowerOptions
from taskdiscovery.discovery.problem import Found
from taskdiscovery.discovery.tables import Prepared
from taskdiscovery.discovery.targets import soft_targets
from taskdiscovery.encoders.labelling import balance, classify
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import Float32, Matrix


def iterated(ready: Prepared, options: PowerOptions) -> Iteration:
    """Iterate until the subspace stops turning; return the last iteration.

    Args:
        ready: the problem.
        options: of power iteration; `runs` is how many draws of the folds are averaged.

    Raises:
        NumericalError: where the predictions collapse to constants.
    """
    problem = ready.problem
    callbacks, passes = problem.workbench.callbacks, len(problem.rows) * options.runs
    with callbacks.stage("power iteration", options.iterations * passes) as meter:
        steps = (partial(_start, ready, options), partial(_held_out, ready, options))
        for last in iterate(problem, options, *steps):
            if last.replayed:
                meter.advance(last.number * passes)
            else:
                callbacks.on_iteration(last.to_row())
                meter.advance(passes, f"held-out correlation {last.correlation.mean():.3f}")
    return last


def fitted(ready: Prepared, coordinates_NP: Matrix) -> Found:
    """Fit an encoder to coordinates of all training images, as `fitting.fit_encoder` trains one."""
    problem, classes = ready.problem, ready.problem.classes
    weights_RP = ready.blocks.fit(soft_targets(coordinates_NP))
    outputs_NP = ready.blocks.predict(weights_RP)
    spread_P = np.sqrt(np.maximum(np.diag(subspace.covariance(outputs_NP)), 1e-24))
    outputs_NP /= spread_P.astype(np.float32)
    centre_P, offsets_DC = balance(outputs_NP, classes)
    encoder = ready.encoder(
        weights_RP / spread_P,
        centre_P.astype(np.float64),
        classes,
        offsets_DC.astype(np.float64) if classes > 2 else None,
    )
    wanted_NP = coordinates_NP.astype(np.float32)
    wanted_ND = classify(wanted_NP, balance(wanted_NP, classes)[1], classes)
    agreement_D = (encoder.classify(outputs_NP - centre_P) == wanted_ND).mean(axis=0)
    assert problem.features is not None
    return Found(
        encoder=encoder,
        outputs=encoder.transform(problem.features, problem.workbench.learner.device),
        quality={"encoder_agreement": agreement_D},
    )


def _start(ready: Prepared, options: PowerOptions) -> Float32:
    """Return whitened (N, P) coordinates: the top components of the table, or noise."""
    blocks, count = ready.blocks, ready.problem.P
    N, R = blocks.table_NR.shape
    rng = generator(ready.problem.seed, "start")
    start_NP = rng.standard_normal((N, count), dtype=np.float32)
    if options.start != "noise":
        taken = min(count, R)  # where features are too few: noise
        covariance_RR = np.sum(blocks.grams, axis=0) / N
        start_NP[:, :taken] = blocks.predict(subspace.principal_directions(covariance_RR, taken))
    return ready.problem.constraints.apply(start_NP).coordinates.astype(np.float32)


def _held_out(ready: Prepared, options: PowerOptions, targets_NP: Float32, number: int) -> Float32:
    total_NP = np.zeros_like(targets_NP)
    for run in range(options.runs):
        rng = generator(ready.problem.seed, "folds", number, run)
        total_NP += ready.blocks.held_out(targets_NP, rng, options.folds)
    total_NP /= np.float32(options.runs)
    return total_NP
