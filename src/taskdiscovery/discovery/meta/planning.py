"""What a search will cost, and what it keeps: decided once, before it begins."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeVar

import numpy as np

from taskdiscovery.config import ResolvedLearner
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.discovery.meta.options import MetaOptions
from taskdiscovery.errors import ConfigError
from taskdiscovery.metagrad import MEMORY, Estimate
from taskdiscovery.networks import Normalization
from taskdiscovery.networks.images import to_tensor
from taskdiscovery.networks.placing import SHARE
from taskdiscovery.runtime import memory_errors, ranks
from taskdiscovery.types import Dataset

_LOG = logging.getLogger("taskdiscovery")
M = TypeVar("M", bound=MetaOptions)


def decide_memory(
    options: M, learner: ResolvedLearner, dataset: Dataset, classes: int, seed: int
) -> M:
    """Measure one inner step, tell what the search will cost, choose what to keep.

    What is chosen is written to the config and kept on resume: the choices differ in their last
    bits.

    Raises:
        ConfigError: where the network cannot be differentiated twice, or ranks cannot share.
    """
    there = ranks.size()
    if there > 1 and options.one_step:
        raise ConfigError(
            "one update follows the other in the one-step form: ranks have nothing to share out",
            where="--one-step, under torchrun",
            hint="leave it out, or start one process",
        )
    if there > max(options.tasks_per_step, 1) and options.objective != "none":
        _LOG.warning(
            "%d ranks share %d tasks a step: give --tasks-per-step %d, so that every rank has a "
            "task",
            there,
            options.tasks_per_step,
            there,
        )
    if options.objective == "none" or options.outer_steps == 0:
        memory = "graphs" if options.memory == "auto" else options.memory
        return replace(options, memory=memory, compile=False)
    rows = np.arange(min(len(dataset), options.inner_batch))
    inner = Inner(
        learner=learner,
        shape=dataset.image_shape,
        normalization=Normalization.measure(dataset.images, rows),
        images=to_tensor(dataset.images[: len(rows)], learner.device),
        options=options,
        classes=classes,
        seed=seed,
    )
    with memory_errors.explained(
        "measuring one inner step",
        where=f"--inner-batch {options.inner_batch}",
        hint=f"try --inner-batch {memory_errors.smaller(options.inner_batch)}, or a narrower "
        "learner",
    ):
        cost = inner.preflight(rows)
    memory = _chosen(cost, inner, dataset) if options.memory == "auto" else options.memory
    if options.compile and memory == "graphs":
        memory = "store"  # a graph of a graph cannot be compiled
    seconds = cost.seconds[memory] * options.tasks_per_step
    _LOG.info(
        "%d outer steps of about %.1f s each, %.1f min in all%s; about %.2f GB (%s)",
        options.outer_steps,
        seconds,
        seconds * options.outer_steps / 60,
        " before compiling" if options.compile else "",
        cost.memory[memory] / 1e9,
        memory,
    )
    return ranks.share(replace(options, memory=memory))  # what was measured differs by rank


def _chosen(cost: Estimate, inner: Inner, dataset: Dataset) -> str:
    """Return the fastest choice that fits beside the images."""
    if inner.device.type != "cuda":
        return cost.cheapest()
    images = min(dataset.images.nbytes, int(SHARE * cost.available))
    # Steps that keep no graph are recorded, and one launch then takes the place of thousands.
    among = [choice for choice in MEMORY if choice != "graphs" or not inner.recordable]
    return cost.cheapest(promised=images, among=among)
