"""From a network or from coordinates to an encoder, and the untrained network that comes first.

Axes: N training images, F features, P coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.discovery import untrained
from taskdiscovery.discovery.problem import Found, Problem
from taskdiscovery.discovery.targets import soft_targets
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.encoders.labelling import balance, classify
from taskdiscovery.networks import Model, build_learner
from taskdiscovery.networks.prediction import predict
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.training import (
    Examples,
    Hooks,
    Watch,
    set_weights,
    squared_error,
    train,
    weights,
)
from taskdiscovery.types import Float32, Matrix, Record


@dataclass(frozen=True, eq=False, kw_only=True)
class Features:
    """What an untrained network makes of the training images.

    Attributes:
        learner: whose network it is.
        model: the network, with P outputs.
        table_NF: what enters its last layer.
    """

    learner: ResolvedLearner
    model: Model
    table_NF: Float32


def untrained_features(problem: Problem, start: str) -> Features:
    """Build the untrained network and take its features.

    Args:
        problem: images and learner.
        start: `features` of the learner's network, or `pixels`, the features of a linear one.
    """
    bench = problem.workbench
    learner = bench.learner
    if start == "pixels":
        learner = replace(learner, network="linear")
    model = untrained.network(
        replace(bench, learner=learner), problem.P, problem.rows, derive(problem.seed, "untrained")
    )
    return Features(
        learner=learner, model=model, table_NF=untrained.features(model, bench.images, problem.rows)
    )


def fit_encoder(problem: Problem, coordinates_NP: Matrix) -> Found:
    """Train an encoder on all training images to give these coordinates.

    Returns:
        The encoder; `quality` says how often it repeats the labels that it was fitted to.
    """
    bench = problem.workbench
    learner = replace(bench.learner, recipe=problem.encoder_recipe)
    seed = derive(problem.seed, "encoder")
    model = build_learner(
        learner, bench.shape, coordinates_NP.shape[1], bench.normalization, derive(seed, "init")
    )
    targets_NP = torch.from_numpy(soft_targets(coordinates_NP)).to(learner.device)
    examples = Examples(bench.images, problem.rows, targets_NP, squared_error)

    def work(watch: Watch) -> Record:
        passes = learner.recipe.epochs * len(problem.rows)
        with bench.callbacks.stage("fitting the encoder", passes) as meter:
            train(learner, model, examples, seed, Hooks(meter=meter, watch=watch))
        return Record(arrays=weights(model))

    set_weights(model, bench.journal.do("encoder", work).arrays)
    found = encoder_of(problem, model, learner)
    wanted_NP = coordinates_NP.astype(np.float32)
    _, offsets = balance(wanted_NP, problem.classes)
    wanted = classify(wanted_NP, offsets, problem.classes)
    assert isinstance(found.encoder, Encoder)
    given = found.encoder.classify(found.outputs[problem.rows] - found.encoder.centre)
    return replace(found, quality={"encoder_agreement": (given == wanted).mean(axis=0)})


def encoder_of(problem: Problem, model: Model, learner: ResolvedLearner) -> Found:
    """Make the encoder of a model: its classes are balanced on the training images."""
    bench = problem.workbench
    everywhere = np.arange(len(bench.dataset))
    outputs = predict(model, bench.images, everywhere, "float32").numpy()
    centre, offsets = balance(outputs[problem.rows], problem.classes)
    encoder = Encoder(
        learner=learner.name,
        image_shape=bench.shape,
        names=tuple(f"task_{d:03d}" for d in range(len(offsets))),
        classes=problem.classes,
        model=model,
        outputs=outputs.shape[1],
        columns=np.arange(outputs.shape[1]),
        centre=centre,
        offsets=offsets,
    )
    return Found(encoder=encoder, outputs=outputs)
