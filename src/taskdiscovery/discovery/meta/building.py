"""What a search by meta-gradient begins with, and the encoder that it ends in.

Axes: N images, F features, P coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn

from taskdiscovery import networks
from taskdiscovery.config import ResolvedLearner, learner_of
from taskdiscovery.discovery import untrained
from taskdiscovery.discovery.fitting import encoder_of, fit_encoder
from taskdiscovery.discovery.meta.embedding import Embedding, LinearTrunk, NetworkTrunk
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.discovery.meta.options import MetaOptions
from taskdiscovery.discovery.meta.search import MetaSearch, summary
from taskdiscovery.discovery.problem import Found, Problem
from taskdiscovery.encoders.encoder import Encoder
from taskdiscovery.errors import ConfigError, DataError, first_line
from taskdiscovery.networks import Model
from taskdiscovery.networks.placing import hold
from taskdiscovery.runtime.seeds import derive
from taskdiscovery.types import Matrix


def search(problem: Problem, options: MetaOptions) -> Found:
    """Find tasks by meta-gradient, then make their encoder with its statistics frozen."""
    bench = problem.workbench
    hold(bench.images, problem.rows)
    inner = Inner(
        learner=bench.learner,
        shape=bench.shape,
        normalization=bench.normalization,
        images=bench.images,
        options=options,
        classes=problem.classes,
        seed=problem.seed,
    )
    if options.memory != "graphs" and options.objective != "none":
        inner.preflight(problem.rows)
    start = _start(problem, options)
    outer = MetaSearch(start.embedding, inner, problem, options)
    history = outer.run()
    numbers = {"meta": summary(history, outer.progress.diverged, options)}
    trunk = start.embedding.trunk
    if isinstance(trunk, NetworkTrunk):
        model = trunk.fold(start.embedding, problem.rows)
    elif start.model is not None:
        model = trunk.fold(start.embedding, start.model, start.features_NF)
    else:  # features that no network gives: an encoder is fitted to what was found
        found = fit_encoder(problem, trunk.coordinates(start.embedding, problem.rows))
        return replace(found, numbers=numbers)
    return replace(encoder_of(problem, model, start.learner), numbers=numbers)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Start:
    """What is to be optimized: an encoder, or a linear map of given features.

    Attributes:
        embedding: of rows of images.
        learner: whose network the encoder is.
        model: that network; None for features that no network gives.
        features_NF: of the training images, where those are all that the embedding sees.
    """

    embedding: Embedding
    learner: ResolvedLearner
    model: Model | None = None
    features_NF: Matrix = field(default_factory=lambda: np.zeros((0, 0)))


def _start(problem: Problem, options: MetaOptions) -> _Start:
    bench, P = problem.workbench, problem.P
    own = bench.learner
    seed = derive(problem.seed, "embedding")
    turned = options.directions in ("best", "worst")
    if problem.features is not None:
        linear = LinearTrunk(problem.features, problem.rows, P, seed, own.device)
        return _Start(embedding=Embedding(linear, P, turned=turned), learner=own)
    warm = problem.warm
    assert warm is None or isinstance(warm, Encoder)  # Meta.check_warm refuses others
    learner = own
    if options.encoder or warm is not None:
        learner = learner_of(
            options.encoder or (own.name if warm is None else warm.learner),
            own.recipe,
            device=own.device,
            precision=own.precision,
            objects=problem.objects,
        )
    model = networks.build_learner(
        learner, bench.shape, P, bench.normalization, derive(seed, "init")
    )
    require_linear_head(model, learner.name)
    if warm is not None:
        begin_with(model, warm, P)
    if not options.encoder_weights:
        trunk = NetworkTrunk(model, bench.images, own.precision)
        return _Start(embedding=Embedding(trunk, P, turned=turned), learner=learner, model=model)
    load_encoder_weights(model, Path(options.encoder_weights))
    everywhere = np.arange(len(bench.dataset))
    features_NF = untrained.features(model.eval(), bench.images, everywhere)
    linear = LinearTrunk(features_NF, problem.rows, P, seed, own.device)
    return _Start(
        embedding=Embedding(linear, P, turned=turned),
        learner=learner,
        model=model,
        features_NF=features_NF[problem.rows],
    )


def begin_with(model: Model, encoder: Encoder, coordinates: int) -> None:
    """Set the weights of a model to those of an encoder, its last layer to the first tasks'.

    Args:
        model: of the encoder's architecture, with `coordinates` outputs.
        encoder: of a finished run.
        coordinates: D.

    Raises:
        ConfigError: where the encoder has fewer coordinates or another architecture.
    """
    if len(encoder.columns) < coordinates:
        raise ConfigError(
            f"the run has {len(encoder.columns)} coordinates, {coordinates} are asked for",
            where="--warm-start",
            hint="ask for fewer --tasks, or give a run with more",
        )
    head, theirs = networks.output_layer(model), networks.output_layer(encoder.model)
    if head is None or theirs is None:
        raise ConfigError(
            "the run's encoder does not end in a linear layer",
            where="--warm-start",
            hint="discover with --method power or spectral and a network of this package",
        )
    last = {id(theirs.weight), id(theirs.bias)}
    own, given = dict(model.named_parameters()), dict(encoder.model.named_parameters())
    buffers = dict(encoder.model.named_buffers())
    kept = {k: p for k, p in given.items() if id(p) not in last} | buffers
    mine = own | dict(model.named_buffers())
    if any(k not in mine or mine[k].shape != v.shape for k, v in kept.items()):
        raise ConfigError(
            f"the run's encoder is {encoder.learner}, another architecture",
            where="--warm-start, --encoder",
            hint="leave --encoder out, or name the run's",
        )
    model.load_state_dict({**model.state_dict(), **kept})
    with torch.no_grad():
        head.weight.copy_(theirs.weight[torch.from_numpy(encoder.columns[:coordinates])])


def require_linear_head(model: Model, learner: str) -> nn.Linear:
    """Return the last linear layer.

    Raises:
        ConfigError: where there is none.
    """
    head = networks.output_layer(model)
    if head is None:
        raise ConfigError(
            f"the encoder {learner} does not end in a linear layer",
            where="--method meta",
            hint="end it in torch.nn.Linear, or choose another --encoder",
        )
    return head


def load_encoder_weights(model: Model, path: Path) -> None:
    """Set all weights but those of the last layer from a safetensors file.

    Args:
        model: of the architecture that the file was made from.
        path: tensors named as in the network's state dict; the last layer may be missing.

    Raises:
        DataError: where it cannot be read, or belongs to another architecture.
    """
    try:
        given = load_file(path)
    except FileNotFoundError:
        raise DataError("there is no such file", where=str(path), hint="check the path") from None
    except Exception as error:  # hostile files raise errors of every kind
        raise DataError(
            f"the weights cannot be read: {first_line(error)}",
            where=str(path),
            hint="give safetensors (safetensors.torch.save_file(network.state_dict(), path))",
        ) from error
    head = networks.output_layer(model)
    own = model.network.state_dict()
    last = {f"{name}." for name, module in model.network.named_modules() if module is head and name}
    wanted = {k for k in own if not any(k.startswith(prefix) for prefix in last)}
    given = {k.removeprefix("network."): v for k, v in given.items()}
    wrong = sorted(k for k in wanted if k not in given or given[k].shape != own[k].shape)
    if wrong:
        raise DataError(
            f"{len(wrong)} of {len(wanted)} tensors are missing or of another shape, "
            f"e.g. {wrong[0]}",
            where=str(path),
            hint="give the weights of the network that --encoder names",
        )
    model.network.load_state_dict({**own, **{k: given[k] for k in wanted}})
