"""Options of `discover`."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from taskdiscovery.config.meta import META, MetaOptions
from taskdiscovery.config.options import WorkConfig, flag_of, key_of, option
from taskdiscovery.config.recipes import Recipe
from taskdiscovery.errors import ConfigError

#: options that `power` alone reads.
_POWER = ("iterations", "tolerance", "targets", "average", "folds", "runs")


@dataclass(frozen=True, kw_only=True)
class DiscoverConfig(MetaOptions, WorkConfig):
    """`discover`: tasks on which a learner generalizes."""

    method: str = option("power", "how to search", choices=("power", "spectral", "meta"))
    tasks: int = option(8, "how many tasks to find", low=1, high=10_000)
    classes: int = option(2, "classes of each task", low=2, high=100)
    train_images: int | None = option(None, "discover on at most so many images", low=16)
    iterations: int = option(6, "power iterations at most", low=1, high=1000)
    tolerance: float = option(
        1.5,
        "stop when the angle by which the subspace turns settles to so many degrees",
        low=0.0,
        high=90.0,
    )
    start: str = option(
        "features",
        "what spectral looks at and power starts from: features of the untrained network or "
        "pixels; power alone also from noise",
        choices=("features", "pixels", "noise"),
    )
    targets: str = option(
        "squashed",
        "what power trains on: coordinates squashed towards two values, or the coordinates",
        choices=("squashed", "linear"),
    )
    average: int = option(
        1,
        "power gives the mean coordinates of so many last iterations, and then does all of "
        "--iterations; one more than these takes in the start",
        low=1,
        high=1001,
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
        "passes when the encoder is fitted (default: as many as --epochs)",
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.executor == "ray" and self.method != "power":
            raise ConfigError(
                f"--method {self.method} has no separate trainings to hand out",
                where="--executor ray",
                mend="use --method power; several processes share a meta-gradient under torchrun",
            )
        if self.average > self.iterations + 1:
            raise ConfigError(
                f"there are {self.iterations} iterations and a start to average",
                where=f"--average {self.average}",
                mend=f"at most {self.iterations + 1}, or more --iterations",
            )
        if self.method != "meta":
            return
        self.check_meta()
        for name in ("exclude", "within"):
            if getattr(self, name):
                raise ConfigError(
                    f"--{name} works with --method power and spectral",
                    where="--method meta",
                    mend="leave it out, or keep tasks in the embedding with --contain",
                )

    def without_effect(self) -> list[str]:
        """Name the options that are set and that only another method reads."""
        return [
            flag_of(key_of(item))
            for item in fields(self)
            if getattr(self, item.name) != item.default
            and (
                (item.name in _POWER and self.method != "power")
                or (item.metadata["group"] == META and self.method != "meta")
            )
        ]

    def with_epochs(self, images: int) -> DiscoverConfig:
        """Decide the epochs for so many training images: never fewer than 60,000 images pass."""
        epochs = self.epochs or max(3, -(-60_000 // max(images, 1)))
        return replace(self, epochs=epochs, encoder_epochs=self.encoder_epochs or epochs)

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
