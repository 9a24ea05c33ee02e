"""What a config is made of: fields with their help and limits, checked when it is made.

Nothing here imports torch: mistakes are found before anything slow begins.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from taskdiscovery.errors import ConfigError, first_line, nearest

C = TypeVar("C", bound="JobConfig")

EXECUTORS = ("auto", "serial", "processes", "ray")
WORK = "distribution"


def option(
    default: Any,
    help: str,
    *,
    flag: str = "",
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    metavar: str = "",
    group: str = "",
) -> Any:
    """Declare a config field: its default, its help line and what values are possible."""
    limits = {"help": help, "flag": flag, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata={**limits, "metavar": metavar, "group": group})


@dataclass(frozen=True, kw_only=True)
class JobConfig:
    """What all jobs have in common. Every value is checked when the object is made.

    Raises:
        ConfigError: for a wrong type or a value out of range.
    """

    size: int | None = option(
        None, "resize images to SIZE x SIZE (needed where sizes differ)", low=4, high=1024
    )
    skip_bad: bool = option(False, "leave out images that cannot be read, and say which")
    learner: str = option("convnet", "learner SPEC, e.g. convnet, resnet18?width=0.25, pkg.mod:fn")
    seed: int = option(0, "decides partition, initializations, batch orders", low=0, high=2**31 - 1)
    device: str = option("auto", "where to train", choices=("auto", "cpu", "cuda"))
    precision: str = option(
        "auto", "bf16 where the hardware has it, else float32", choices=("auto", "float32", "bf16")
    )
    threads: int | None = option(None, "CPU threads (default: all available)", low=1, high=1024)
    checkpoint_every: float = option(
        60.0, "seconds between checkpoints within a training", low=0.0, high=86_400.0
    )

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_value(self, item)


@dataclass(frozen=True, kw_only=True)
class WorkConfig(JobConfig):
    """Jobs whose trainings can be done elsewhere."""

    executor: str = option(
        "auto",
        "who trains: this process (serial), several (processes), or a Ray cluster (pip install "
        "'taskdiscovery[ray]'); auto is processes on CPUs for many short trainings",
        choices=EXECUTORS,
        group=WORK,
    )
    jobs: int | None = option(
        None,
        "trainings at once with --executor processes, each with --threads (default: as many as "
        "there are cores, trainings and memory for)",
        low=1,
        high=1024,
        group=WORK,
    )
    ranks: int | None = option(
        None,
        "processes that share each batch, as torchrun started them (default: what there are)",
        low=1,
        high=1_000_000,
        group=WORK,
    )
    ray_address: str = option(
        "", "the cluster: HOST:PORT or auto (default: one is started here)", group=WORK
    )
    cpus_per_job: int | None = option(
        None,
        "CPUs that Ray keeps for a training (default: --threads)",
        low=1,
        high=1024,
        group=WORK,
    )
    gpus_per_job: float | None = option(
        None,
        "GPUs that Ray keeps for a training, or a share of one (default: 1 with --device cuda)",
        low=0.0,
        high=64.0,
        group=WORK,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.executor == "ray" and self.threads is None:
            # Many trainings of one thread each are faster than few of many threads.
            object.__setattr__(self, "threads", 1)
        for name in ("ray_address", "cpus_per_job", "gpus_per_job"):
            if self.executor != "ray" and getattr(self, name):
                flag = flag_of(name)
                raise ConfigError(
                    f"{flag} is for a Ray cluster", where=flag, mend="add --executor ray"
                )


def read_config(source: Path | str) -> dict[str, Any]:
    """Read options from a YAML file, or from a config of the package by its name (`published`).

    Raises:
        ConfigError: where it cannot be read or is no mapping.
    """
    import yaml

    file = Path(source)
    if str(source) == "published" and not file.exists():
        file = Path(__file__).with_name("published.yaml")
    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except Exception as error:  # what hostile files raise has no end
        raise ConfigError(
            f"the config cannot be read: {first_line(error)}",
            where=str(source),
            mend="give a YAML file, or `published`",
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(
            "the config is no mapping", where=str(source), mend="write key: value lines"
        )
    return document


def from_mapping(kind: type[C], values: Mapping[str, Any], where: str) -> C:
    """Make a config from `config.yaml` or a dictionary.

    Raises:
        ConfigError: for an unknown key (naming the nearest), a wrong type, a value out of range.
    """
    known = {key_of(item): item.name for item in fields(kind)}
    for key in values:
        if str(key) not in known:
            raise ConfigError(f"unknown key {key!r}", where=where, mend=nearest(str(key), known))
    return kind(**{known[key]: value for key, value in values.items()})


def to_mapping(config: JobConfig) -> dict[str, Any]:
    """Return the config with the names that users know."""
    return {key_of(item): getattr(config, item.name) for item in fields(config)}


def flag_of(key: str) -> str:
    """The option on the command line, of a name with underscores."""
    return "--" + key.replace("_", "-")


def key_of(item: Field[Any]) -> str:
    """The name of a field on the command line and in files, with underscores."""
    return item.metadata.get("flag") or item.name


@functools.cache
def _hints(kind: type[JobConfig]) -> dict[str, Any]:
    return typing.get_type_hints(kind)  # evaluates each annotation anew


def base_type(kind: type[JobConfig], item: Field[Any]) -> tuple[type, bool]:
    """Return a field's plain type (int, float, str or bool) and whether it may be None."""
    hint = _hints(kind)[item.name]  # type: ignore[arg-type]  # a class is hashable
    if isinstance(hint, types.UnionType):
        arguments = [a for a in typing.get_args(hint) if a is not type(None)]
        return arguments[0], True
    return hint, False


def _check_value(config: JobConfig, item: Field[Any]) -> None:
    value, limits = getattr(config, item.name), item.metadata
    expected, optional = base_type(type(config), item)
    key = key_of(item)
    if value is None and optional:
        return
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
        object.__setattr__(config, item.name, value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ConfigError(
            f"{key} must be {_TYPE_NAMES[expected]}, got {value!r}",
            where=key,
            mend=f"e.g. {key}: {item.default!r}" if item.default is not MISSING else "",
        )
    if limits["choices"] and value not in limits["choices"]:
        raise ConfigError(
            f"{key} cannot be {value!r}", where=key, mend=nearest(str(value), limits["choices"])
        )
    low, high = limits["low"], limits["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bounds = f"from {low:g}" + (f" to {high:g}" if high is not None else " up")
        raise ConfigError(f"{key} is {value}", where=key, mend=f"give a value {bounds}")


_TYPE_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
