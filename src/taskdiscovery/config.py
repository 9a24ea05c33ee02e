"""Everything a user can set: one frozen dataclass a job, each field an option with its help.

The command line, `config.yaml` and the Python calls all read these classes, so a name means the
same in all three. Nothing here imports torch: mistakes are found before anything slow begins.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.learners import check_learner

C = TypeVar("C", bound="JobConfig")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a learner is trained.

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        learning_rate: of the optimizer; the peak, for `onecycle`.
        optimizer: `adam`, `adamw` or `sgd` (momentum 0.9).
        schedule: `constant` or `onecycle`.
        weight_decay: of the optimizer.
        augment: names of augmentations, applied in order.
        recalibrate: measure the batch norms' statistics anew on training images when training
            ends. Their running averages lag behind weights that still move, which after a few
            epochs costs several points of agreement (CIFAR-10, `quick`: 0.58 against 0.75).
    """

    epochs: int = 6
    batch: int = 512
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    schedule: str = "constant"
    weight_decay: float = 0.0
    augment: tuple[str, ...] = ()
    recalibrate: bool = False


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What `--preset` sets for the training of scored learners.

    Attributes:
        train_images, test_images: at most so many are used; None for all.
        epochs: passes over the training images.
        shared_order: whether all runs see identical batches, as the published scorer does.
        recalibrate: see `Recipe`; the published scorer does not.
    """

    train_images: int | None
    test_images: int | None
    epochs: int
    shared_order: bool = False
    recalibrate: bool = True


PRESETS = {
    "smoke": Preset(train_images=600, test_images=300, epochs=2),
    "quick": Preset(train_images=15_000, test_images=5_000, epochs=6),
    "paper": Preset(
        train_images=45_000, test_images=10_000, epochs=100, shared_order=True, recalibrate=False
    ),
}


def option(
    default: Any,
    help: str,
    *,
    flag: str = "",
    choices: tuple[str, ...] = (),
    low: float | None = None,
    high: float | None = None,
    metavar: str = "",
) -> Any:
    """Declare a config field: its default, its help line and what values are possible."""
    limits = {"help": help, "flag": flag, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata={**limits, "metavar": metavar})


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
class TrainingConfig(JobConfig):
    """How learners that are measured are trained; what is None comes from the preset."""

    preset: str = option("quick", "sizes and epochs together", choices=tuple(PRESETS))
    train_images: int | None = option(None, "train on at most so many images", low=2)
    test_images: int | None = option(None, "measure on at most so many images", low=1)
    epochs: int | None = option(None, "passes over the training images", low=1, high=100_000)
    batch: int = option(512, "images per step", low=2, high=1_000_000)
    learning_rate: float = option(1e-3, "learning rate of Adam", low=0.0, high=100.0)

    def resolved(self: C) -> C:
        """Fill in what the preset decides."""
        preset = PRESETS[getattr(self, "preset")]  # noqa: B009
        filled = {
            name: getattr(preset, name)
            for name in ("train_images", "test_images", "epochs", "shared_order")
            if getattr(self, name, 0) is None
        }
        return replace(self, **filled)

    @property
    def recipe(self) -> Recipe:
        """The recipe of a scored learner."""
        preset = PRESETS[self.preset]
        return Recipe(
            epochs=preset.epochs if self.epochs is None else self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            recalibrate=preset.recalibrate,
        )


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(TrainingConfig):
    """`score`: agreement scores of labelings."""

    target: str = option("", "human labeling: label, label:0,1, attr:COLUMN, FILE:COLUMN")
    source: str = option(
        "", "score the tasks of a run, or of a table of labelings", flag="from", metavar="RUN|FILE"
    )
    runs: int = option(2, "independent trainings per task", low=2, high=1000)
    vary: str = option("init,order", "what differs between runs: init, order, data")
    shared_order: bool | None = option(None, "give every run identical batches, as published")

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in self.vary.split(","):
            if word not in VARIED:
                raise ConfigError(
                    f"runs cannot vary by {word!r}", where="--vary", mend=nearest(word, VARIED)
                )
        if self.target and self.source:
            raise ConfigError(
                "--target and --from are both given", where="score", mend="give one of the two"
            )


VARIED = ("init", "order", "data")


@dataclass(frozen=True, kw_only=True)
class DiscoverConfig(JobConfig):
    """`discover`: tasks on which a learner generalizes."""

    method: str = option("power", "how to search", choices=("power", "spectral"))
    tasks: int = option(8, "how many tasks to find", low=1, high=10_000)
    classes: int = option(2, "classes of each task", low=2, high=100)
    train_images: int | None = option(None, "discover on at most so many images", low=16)
    iterations: int = option(6, "power iterations at most", low=1, high=1000)
    tolerance: float = option(
        1.0,
        "stop when the angle by which the subspace turns settles to so many degrees",
        low=0.0,
        high=90.0,
    )
    start: str = option(
        "features",
        "what power starts from: features of the untrained network, pixels, or noise",
        choices=("features", "pixels", "noise"),
    )
    rotate: bool = option(
        True, "turn coordinates within their span so that each cuts the images in two clear groups"
    )
    exclude: str = option(
        "", "project out: label, attributes, attr:COLUMN, brightness, colour, contrast, saturation"
    )
    within: str = option("", "discover inside each class of this labeling, e.g. label")
    epochs: int | None = option(
        None,
        "passes over a fold's training images, per iteration (default: 3; more where fewer than "
        "20,000 images would give too few steps)",
        low=1,
        high=10_000,
    )
    encoder_epochs: int | None = option(
        None,
        "passes when the encoder is fitted (default: twice --epochs)",
        low=1,
        high=10_000,
    )
    batch: int = option(256, "images per step", low=2, high=1_000_000)
    learning_rate: float = option(
        4e-3, "peak learning rate of AdamW, one cycle", low=0.0, high=100.0
    )
    folds: int = option(
        2, "folds of the cross-fitting, drawn anew in every iteration", low=2, high=100
    )

    runs: int = option(1, "trainings per fold whose predictions are averaged", low=1, high=100)

    def with_epochs(self, images: int) -> DiscoverConfig:
        """Decide the epochs for so many training images: never fewer than 60,000 images pass."""
        epochs = self.epochs or max(3, -(-60_000 // max(images, 1)))
        return replace(self, epochs=epochs, encoder_epochs=self.encoder_epochs or 2 * epochs)

    def recipe(self, epochs: int) -> Recipe:
        """The recipe of cross-fitting and of the encoder."""
        return Recipe(
            epochs=epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            optimizer="adamw",
            schedule="onecycle",
            weight_decay=0.01,
        )


@dataclass(frozen=True, kw_only=True)
class SplitConfig(TrainingConfig):
    """`split`: a train-test split that breaks a learner on a target, beside its controls."""

    target: str = option("", "the labeling to break: label, label:0,1, attr:COLUMN, FILE:COLUMN")
    source: str = option(
        "",
        "where the cutting task comes from",
        flag="from",
        metavar="RUN[:TASK]|FILE:COLUMN|untrained:NET",
    )
    orientation: str = option(
        "auto",
        "which class of the task goes with which class of the target",
        choices=("auto", "same", "opposite"),
    )
    class_balanced: bool | None = option(
        None, "cut the task at its median within each class (default for more than two classes)"
    )
    search: bool = option(
        False, "try all tasks, orientations and groupings of the classes, and judge the worst again"
    )
    controls: str = option(
        "random,untrained,hard,kmeans", "controls of the same size and class counts"
    )
    transfer: str = option(
        "", "other learners to train on the same split, e.g. 'mlp;vit?width=0.5'"
    )
    runs: int = option(3, "trainings per figure, each from a fresh seed", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in self.control_names:
            if word not in CONTROL_NAMES:
                raise ConfigError(
                    f"unknown control {word!r}",
                    where="--controls",
                    mend=nearest(word, CONTROL_NAMES),
                )
        if "random" not in self.control_names:
            raise ConfigError(
                "the control `random` is left out",
                where="--controls",
                mend="keep it: a split says nothing without it",
            )
        for learner in self.transfer_learners:
            check_learner(learner)

    @property
    def control_names(self) -> list[str]:
        """The controls asked for."""
        return [word.strip() for word in self.controls.split(",") if word.strip()]

    @property
    def transfer_learners(self) -> list[str]:
        """The learner SPECs that the split is tried on besides its own."""
        return [text.strip() for text in self.transfer.split(";") if text.strip()]


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig(JobConfig):
    """`analyze`: evidence for what each task of a run is about."""

    images: int = option(
        5000, "measure associations on at most so many images that discovery has not seen", low=20
    )
    probe_images: int = option(1000, "ask counterfactual probes of at most so many images", low=10)
    text_model: str = option(
        "", "CLIP model on disk whose words are set beside each task", metavar="PATH"
    )


CONTROL_NAMES = ("random", "untrained", "hard", "kmeans")


#: the config class of each job.
CONFIGS: dict[str, type[JobConfig]] = {
    "discover": DiscoverConfig,
    "score": ScoreConfig,
    "split": SplitConfig,
    "analyze": AnalyzeConfig,
}


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


def key_of(item: Field[Any]) -> str:
    """The name of a field on the command line and in files, with underscores."""
    return item.metadata.get("flag") or item.name


def base_type(kind: type[JobConfig], item: Field[Any]) -> tuple[type, bool]:
    """Return a field's plain type (int, float, str or bool) and whether it may be None."""
    hint = typing.get_type_hints(kind)[item.name]
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
