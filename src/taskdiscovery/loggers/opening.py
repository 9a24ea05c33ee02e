"""From what a user writes to a logger: `tensorboard`, `mlflow:sqlite:///runs.db`, …."""

from __future__ import annotations

from collections.abc import Callable

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.loggers import jsonl, ml_flow, tensorboard, weights_biases
from taskdiscovery.loggers.callback import Logger
from taskdiscovery.loggers.tracker import Tool

#: by kind, what opens it at a place; an empty place is its usual one.
KINDS: dict[str, Callable[[str], Tool]] = {
    "tensorboard": tensorboard.tool,
    "wandb": weights_biases.tool,
    "mlflow": ml_flow.tool,
    "jsonl": jsonl.tool,
}


def logger(spec: str) -> Logger:
    """Return a callback that keeps what jobs tell with a tool, for `callbacks=[…]` of every verb.

    Args:
        spec: KIND or KIND:WHERE. `tensorboard:FOLDER` (default `tensorboard`), `wandb:PROJECT`
            (default `taskdiscovery`; offline where no key is known), `mlflow:URI` (default
            `MLFLOW_TRACKING_URI`, else `sqlite:///mlflow.db`), `jsonl:FILE` (default
            `taskdiscovery.jsonl`; appended to).

    Raises:
        ConfigError: for another kind, or where its library is not installed.
        ResourceError: where its place cannot be used.
    """
    kind, _, where = str(spec).partition(":")
    if kind not in KINDS:
        raise ConfigError(
            f"there is no logger {kind!r}", where=f"--log {spec}", hint=nearest(kind, KINDS)
        )
    return Logger(KINDS[kind](where))
