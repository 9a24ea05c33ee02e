"""What a config is made of: fields with their help and limits, checked when it is made.

Nothing here imports torch: mistakes are found before anything slow begins.
"""

from __future__ import annotations

import functools
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypedDict, Unpack

from taskdiscovery.config.learners import takes_features
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.runtime import devices
from taskdiscovery.types import Document

#: how images of another aspect are made square.
FITS = ("crop", "squash", "pad")
EXECUTORS = ("auto", "serial", "processes", "ray")
WORK = "distribution"


class Limits(TypedDict, total=False):
    """What is said of an option beside its default.

    Attributes:
        flag: its name on the command line and in files, where that is no Python name.
        choices: all values that are possible.
        low, high: least and greatest value.
        metavar: what stands for its value in the help.
        group: heading of the help that it stands under.
        separator: between the entries of a list on the command line.
        names: what its text names that may lie outside of a run: `learner`, `labeling`, `tasks`,
            `features`, `test`, `other` (a second data set) or `place` (a file, a folder, a
            cluster); empty for a text that names nothing.
        device: whether its text names a device.
    """

    flag: str
    choices: tuple[str, ...]
    low: float | None
    high: float | None
    metavar: str
    group: str
    separator: str
    names: str
    device: bool


_NO_LIMITS = Limits(
    flag="",
    choices=(),
    low=None,
    high=None,
    metavar="",
    group="",
    separator=",",
    names="",
    device=False,
)


def option(default: Any, help: str, **limits: Unpack[Limits]) -> Any:
    """Declare a config field: its default, its help line and what values are possible."""
    return field(default=default, metadata={**_NO_LIMITS, **limits, "help": help})


def device_option(default: str, help: str) -> Any:
    """Declare a config field that says where to compute: which words there are, `devices` knows."""
    return option(default, help, metavar=devices.WORDS, device=True)


@dataclass(frozen=True, kw_only=True)
class Options:
    """A frozen set of options. Every value is checked when the object is made.

    Raises:
        ConfigError: for a wrong type or a value out of range.
    """

    #: a field that holds options of its own, which stand beside the others in files and on the
    #: command line; empty where there is none.
    NESTED: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for item in options(type(self)):
            check_value(self, item)

    def usual(self, name: str) -> Any:
        """Return what an option is taken for where others decide that; None where they do not."""
        return None

    @classmethod
    def nest(cls, values: Mapping[str, Any], where: str) -> Document:
        """Put the options that belong to `NESTED` into an object; others are left as they are."""
        return dict(values)


def options(kind: type[Options]) -> Iterator[Field[Any]]:
    """Yield the options of a config: its fields, but those that hold objects of the caller's."""
    return (item for item in fields(kind) if "help" in item.metadata)


@dataclass(frozen=True, kw_only=True)
class ReadConfig(Options):
    """How data is read."""

    size: int | None = option(
        None, "resize images to SIZE x SIZE (needed where sizes differ)", low=4, high=1024
    )
    fit: str = option(
        "crop",
        "with --size: crop the centre, squash, or pad with grey (which shows the aspect)",
        choices=FITS,
    )
    range: tuple[float, float] | None = option(
        None,
        "values that become black and white in images of more than 8 bits (default: 0 and the "
        "least of 255, 1023, 4095, 16383, 65535 that none exceeds; of floats 0 and 1)",
        metavar="LOW,HIGH",
    )
    skip_bad: bool = option(False, "leave out images that cannot be read, and list them")
    missing: tuple[str, ...] = option(
        (), "texts that stand for a missing value, e.g. NA,None", metavar="TEXT[,TEXT]"
    )
    groups: str = option(
        "",
        "attribute that says what belongs together (patient, video, burst, site), or `ids` (what "
        "ids have before their last number): a group is kept in one part wherever images are cut, "
        "and is one draw in intervals",
        metavar="COLUMN",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fit(self.fit, self.size)


#: what `--features` says for those that the data has already.
OF_DATA = "data"


@dataclass(frozen=True, kw_only=True)
class DataConfig(ReadConfig):
    """How data is read, with the numbers that stand beside its images."""

    features: str = option(
        "",
        "numbers of the images: a table, what a frozen network gives (lite0, lite0?size=224), or "
        "`data`, those that the data has",
        metavar="FILE|BACKBONE",
        names="features",
    )


def check_fit(fit: str, size: int | None) -> None:
    """Refuse a way to fit images that is none, or has no size to fit them to.

    Raises:
        ConfigError: saying which.
    """
    if fit not in FITS:
        raise ConfigError(f"fit cannot be {fit!r}", where="fit", hint=nearest(str(fit), FITS))
    if fit != "crop" and size is None:
        raise ConfigError(
            f"--fit {fit} says how images are made to fit a size, and none is given",
            where="--fit",
            hint="add --size, e.g. --size 32; in Python size=32",
        )


@dataclass(frozen=True, kw_only=True)
class JobConfig(DataConfig):
    """What all jobs have in common."""

    test: str = option(
        "",
        "the images to measure on, and never to train on: other data (as DATA), or the attribute "
        "that says which they are (split, is_test, 0/1/2)",
        metavar="DATA2|COLUMN",
        names="test",
    )
    seed: int = option(0, "decides partition, initializations, batch orders", low=0, high=2**31 - 1)
    threads: int | None = option(None, "CPU threads (default: all available)", low=1, high=1024)


@dataclass(frozen=True, kw_only=True)
class WorkConfig(JobConfig):
    """Jobs that train a learner, here or elsewhere.

    Attributes:
        objects: networks of the caller's own, by the names that `learner` and other options know
            them by. They are never written.
    """

    learner: str = option(
        "auto",
        "learner SPEC, e.g. convnet, resnet18?width=0.25, pkg.mod:fn; on features ridge, logistic, "
        "mlp; auto is convnet, or ridge where features are named",
        names="learner",
    )
    device: str = device_option(
        "auto", "where to train: auto is cuda where there is a card; cuda:1 is the second one alone"
    )
    precision: str = option(
        "auto", "bf16 where the hardware has it, else float32", choices=("auto", "float32", "bf16")
    )
    checkpoint_every: float = option(
        60.0, "seconds between checkpoints within a training", low=0.0, high=86_400.0
    )
    executor: str = option(
        "auto",
        "who trains: this process (serial), several (processes), or a Ray cluster (pip install "
        "'taskdiscovery[ray]'); auto is processes for many short trainings on CPUs, "
        "and for several on several GPUs",
        choices=EXECUTORS,
        group=WORK,
    )
    jobs: int | None = option(
        None,
        "trainings at once with --executor processes, each with --threads (default: as many as "
        "there are cores, trainings and memory for; on GPUs one a card)",
        low=1,
        high=1024,
        group=WORK,
    )
    ranks: int | None = option(
        None,
        "processes that share each batch, as torchrun started them (default: all of them)",
        low=1,
        high=1_000_000,
        group=WORK,
    )
    ray_address: str = option(
        "",
        "the cluster: HOST:PORT or auto (default: one is started here)",
        group=WORK,
        names="place",
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
    objects: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learner == "auto":
            object.__setattr__(self, "learner", self.usual_learner())
        if self.executor == "ray" and self.threads is None:
            # Many trainings of one thread each are faster than few of many threads.
            object.__setattr__(self, "threads", 1)
        for name in ("ray_address", "cpus_per_job", "gpus_per_job"):
            if self.executor != "ray" and getattr(self, name):
                flag = flag_of(name)
                raise ConfigError(
                    f"{flag} is for a Ray cluster", where=flag, hint="add --executor ray"
                )

    def usual(self, name: str) -> Any:
        """Return the learner that is meant where none is named."""
        return self.usual_learner() if name == "learner" else None

    def usual_learner(self) -> str:
        """Say which learner is meant where none is named."""
        return "ridge" if self.features else "convnet"

    @property
    def on_features(self) -> bool:
        """Whether the learner looks at features, and not at pixels."""
        return bool(self.features) and takes_features(self.learner)


def flag_of(key: str) -> str:
    """The option on the command line, of a name with underscores."""
    return "--" + key.replace("_", "-")


def key_of(item: Field[Any]) -> str:
    """The name of a field on the command line and in files, with underscores."""
    return item.metadata["flag"] or item.name


def to_mapping(config: Options) -> Document:
    """Return the options with the names that users know; lists as lists."""
    found: Document = {}
    if config.NESTED:
        nested = getattr(config, config.NESTED)
        found |= {config.NESTED: nested.name, **to_mapping(nested)}
    for item in options(type(config)):
        value = getattr(config, item.name)
        found[key_of(item)] = list(value) if isinstance(value, tuple) else value
    return found


@functools.cache
def _hints(kind: type[Options]) -> Document:
    return typing.get_type_hints(kind)  # evaluates each annotation anew


class Pair(tuple[float, float]):
    """Two numbers, the lower one first: LOW,HIGH on the command line."""


class Numbers(tuple[float, ...]):
    """Numbers: 0.5,0.8,1 on the command line."""


def base_type(kind: type[Options], item: Field[Any]) -> tuple[type, bool]:
    """Return a field's plain type and whether it may be None.

    Returns:
        int, float, str, bool, tuple (a list of texts), `Pair` or `Numbers`.
    """
    hint = _hints(kind)[item.name]  # type: ignore[arg-type]  # a class is hashable
    optional = isinstance(hint, types.UnionType)
    if optional:
        (hint,) = (a for a in typing.get_args(hint) if a is not type(None))
    if typing.get_origin(hint) is None:
        return hint, optional
    lists: dict[Any, type] = {(float, float): Pair, (float, ...): Numbers}
    return lists.get(typing.get_args(hint), tuple), optional


def entries(text: str, separator: str) -> tuple[str, ...]:
    """Cut a list as it stands on the command line into its entries."""
    return tuple(word.strip() for word in text.split(separator) if word.strip())


def check_value(config: Options, item: Field[Any]) -> None:
    """Refuse a value of the wrong type or out of range; set it in the field's own type.

    Raises:
        ConfigError: naming the option, and what it can be.
    """
    limits, key = item.metadata, key_of(item)
    expected, optional = base_type(type(config), item)
    value: Any = getattr(config, item.name)
    if value is None and optional:
        return
    if expected is Pair:
        object.__setattr__(config, item.name, pair(value, flag_of(key)))
        return
    if expected is Numbers:
        object.__setattr__(config, item.name, numbers(value, flag_of(key)))
        return
    value = _converted(value, expected, limits["separator"])
    object.__setattr__(config, item.name, value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        example = list(item.default) if isinstance(item.default, tuple) else item.default
        raise ConfigError(
            f"{key} must be {_TYPE_NAMES[expected]}, got {value!r}",
            where=key,
            hint=f"e.g. {key}: {example!r}" if item.default is not MISSING else "",
        )
    if limits["choices"]:
        for word in value if isinstance(value, tuple) else (value,):
            if word not in limits["choices"]:
                raise ConfigError(
                    f"{key} cannot be {word!r}", where=key, hint=nearest(word, limits["choices"])
                )
    if limits["device"] and not devices.is_word(str(value)):
        raise ConfigError(
            f"{key} cannot be {value!r}",
            where=key,
            hint="choose from: auto, cpu, cuda, or a card by its number: cuda:0, cuda:1, …",
        )
    low, high = limits["low"], limits["high"]
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bounds = f"from {low:g}" + (f" to {high:g}" if high is not None else " up")
        raise ConfigError(f"{key} is {value}", where=key, hint=f"give a value {bounds}")


def pair(value: Any, where: str) -> tuple[float, float]:
    """Read two numbers: `LOW,HIGH`, or a list of two.

    Args:
        value: as given.
        where: for the error.

    Raises:
        ConfigError: for anything else, and where they are not finite or in order.
    """
    words = value.split(",") if isinstance(value, str) else value
    try:
        low, high = (float(word) for word in words)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(
            f"{where} must be two numbers, the lower one first, got {value!r}",
            where=where,
            hint=f"e.g. {where} 0,4095; in Python {where.lstrip('-')}=(0, 4095)",
        )
    return low, high


def numbers(value: Any, where: str) -> tuple[float, ...]:
    """Read numbers: `0.5,0.8,1`, or a list of them.

    Args:
        value: as given.
        where: for the error.

    Raises:
        ConfigError: for anything else, and where one is not finite.
    """
    words = entries(value, ",") if isinstance(value, str) else value
    try:
        found = tuple(float(word) for word in words)
    except (TypeError, ValueError):
        found = (math.nan,)
    if not all(math.isfinite(number) for number in found):
        raise ConfigError(
            f"{where} must be numbers, got {value!r}",
            where=where,
            hint=f"e.g. {where} 0.5,1; in Python {where.lstrip('-')}=(0.5, 1)",
        )
    return found


def number_text(value: float) -> str:
    """Write a number as briefly as it can be read back."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def _converted(value: Any, expected: type, separator: str) -> Any:
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a NumPy scalar
        return value.item()
    if expected is tuple:
        if isinstance(value, str):
            return entries(value, separator)
        if isinstance(value, list | tuple) and all(isinstance(word, str) for word in value):
            return tuple(value)
    return value


_TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    tuple: "a list of texts",
}
