"""What a search will cost, and what it keeps: decided once, before it begins."""

from __future__ import annotations

import logging
from dataclasses import replace

from taskdiscovery import ranks
from taskdiscovery.config import DiscoverConfig
from taskdiscovery.discovery.meta.inner import Inner
from taskdiscovery.errors import ConfigError
from taskdiscovery.types import IntArray

_LOG = logging.getLogger("taskdiscovery")


def choose_way(config: DiscoverConfig, inner: Inner, rows: IntArray) -> DiscoverConfig:
    """Measure one inner step, say what the search will cost, choose what to keep.

    What is chosen is written to the config and kept on resume: ways differ in their last bits.

    Raises:
        ConfigError: where the network cannot be differentiated twice, or ranks cannot share.
    """
    there = ranks.size()
    if there > 1 and config.one_step:
        raise ConfigError(
            "one update follows the other in the one-step form: ranks have nothing to share out",
            where="--one-step, under torchrun",
            mend="leave it out, or start one process",
        )
    if there > max(config.tasks_per_step, 1) and config.objective != "none":
        _LOG.warning(
            "%d ranks and %d tasks a step: give --tasks-per-step %d, that none stands idle",
            there,
            config.tasks_per_step,
            there,
        )
    if config.objective == "none" or config.outer_steps == 0:
        way = "graphs" if config.way == "auto" else config.way
        return replace(config, way=way, compile=False)
    cost = inner.preflight(rows)
    way = cost.cheapest() if config.way == "auto" else config.way
    if config.compile and way == "graphs":
        way = "store"  # a graph of a graph cannot be compiled
    seconds = cost.seconds[way] * config.tasks_per_step
    _LOG.info(
        "%d outer steps of about %.1f s each, %.1f min in all%s; about %.2f GB (%s)",
        config.outer_steps,
        seconds,
        seconds * config.outer_steps / 60,
        " before compiling" if config.compile else "",
        cost.memory[way] / 1e9,
        way,
    )
    return replace(config, way=way)
