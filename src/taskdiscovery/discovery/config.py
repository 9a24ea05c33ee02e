"""Options of `discover`. Nothing here imports torch."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from taskdiscovery.config import (
    ResolvedLearner,
    TrainingRecipe,
    WorkConfig,
    flag_of,
    is_convex,
    key_of,
    learner_of,
    option,
    options,
)
from taskdiscovery.config.learners import RIDGE
from taskdiscovery.config.recipes import OPTIMIZERS, SCHEDULES
from taskdiscovery.discovery.method import Method
from taskdiscovery.discovery.methods import METHODS
from taskdiscovery.discovery.power import Power
from taskdiscovery.discovery.pursuit import Pursuit
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.features.backbones import check_backbone, is_backbone
from taskdiscovery.types import Document

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, kw_only=True)
class DiscoverConfig(WorkConfig):
    """`discover`: tasks on which a learner generalizes.

    Attributes:
        method: how to search, with its own options; they stand beside the others on the command
            line and in files.
    """

    NESTED: ClassVar[str] = "method"

    method: Method = field(default_factory=Power)
    tasks: int = option(8, "how many tasks to find", low=1, high=10_000)
    classes: int = option(2, "classes of each task", low=2, high=100)
    train_images: int | None = option(None, "discover on at most so many images", low=16)
    exclude: tuple[str, ...] = option(
        (), "project out: label, attributes, attr:COLUMN, brightness, colour, contrast, saturation"
    )
    within: str = option(
        "", "discover inside each class of this labeling, e.g. label", names="labeling"
    )
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
        4e-3, "learning rate; the peak, for a one-cycle schedule", low=0.0, high=100.0
    )
    optimizer: str = option("adamw", "what updates the weights", choices=OPTIMIZERS)
    schedule: str = option("onecycle", "of the learning rate", choices=SCHEDULES)
    weight_decay: float = option(0.01, "of the optimizer", low=0.0, high=100.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        method = self.method
        if not isinstance(method, Method):
            raise ConfigError(
                f"method cannot be {method!r}",
                where="method",
                hint=f"give one of {', '.join(METHODS)}, or td.{next(iter(METHODS)).title()}(…)",
            )
        if is_convex(self.learner) and not (method.by_ridge and self.learner == RIDGE):
            raise ConfigError(
                f"--method {method.name} trains networks, and {self.learner} is none",
                where=f"--learner {self.learner}",
                hint="take --learner ridge, with --method pursuit or power and --features",
            )
        separate = method.separate_trainings and not is_convex(self.learner)
        if self.executor == "ray" and not separate:
            raise ConfigError(
                f"--method {method.name} has no separate trainings to hand out"
                + (" where a ridge is solved" if method.separate_trainings else ""),
                where="--executor ray",
                hint="use --method power; several processes share a meta-gradient under torchrun",
            )
        for name in ("exclude", "within"):
            if getattr(self, name) and not method.constrained:
                raise ConfigError(
                    f"--{name} works with --method power, spectral and pursuit",
                    where=f"--method {method.name}",
                    hint="leave it out, or keep tasks in the embedding with --contain",
                )
        method.check_classes(self.classes)
        if self.features:
            method.check_features(self.learner)
            if is_backbone(self.features):
                check_backbone(self.features)

    @classmethod
    def nest(cls, values: Mapping[str, Any], where: str) -> Document:
        """Put the options of the method into an object; warn of those that it has not.

        Raises:
            ConfigError: for an unknown method, or an option that nothing knows.
        """
        given = dict(values)
        chosen = given.pop("method", "auto")
        if chosen == "auto":
            chosen = Pursuit.name if given.get("features") else Power.name
        if isinstance(chosen, Method):
            return {**given, "method": chosen}
        if not isinstance(chosen, str) or chosen not in METHODS:
            raise ConfigError(
                f"method cannot be {chosen!r}", where="method", hint=nearest(str(chosen), METHODS)
            )
        kinds = {name: {key_of(f): f for f in options(kind)} for name, kind in METHODS.items()}
        common = {key_of(item) for item in options(cls)} | {item.name for item in fields(cls)}
        everywhere = {key for kind in kinds.values() for key in kind}
        own: Document = {}
        idle = []
        for key in [key for key in given if key not in common]:
            if key not in everywhere:
                known = sorted(common | everywhere)
                raise ConfigError(
                    f"unknown key {key!r}", where=where, hint=nearest(str(key), known)
                )
            value = given.pop(key)
            if key in kinds[chosen]:
                own[kinds[chosen][key].name] = value
            elif all(value != kind[key].default for kind in kinds.values() if key in kind):
                idle.append(flag_of(key))
        if idle:
            _LOG.warning("%s: without effect with --method %s", ", ".join(idle), chosen)
        return {**given, "method": METHODS[chosen](**own)}

    def usual_learner(self) -> str:
        """Say which learner is meant where none is named: that of a method on features."""
        return RIDGE if self.features and self.method.by_ridge else "convnet"

    @property
    def on_features(self) -> bool:
        """Whether the search looks at features, and not at pixels."""
        return bool(self.features) and is_convex(self.learner)

    def with_epochs(self, images: int) -> DiscoverConfig:
        """Decide the epochs for so many training images: never fewer than 60,000 images pass."""
        epochs = self.epochs or max(3, -(-60_000 // max(images, 1)))
        return replace(self, epochs=epochs, encoder_epochs=self.encoder_epochs or epochs)

    def learner_of(self) -> ResolvedLearner:
        """Return the learner of the search; its epochs are decided.

        Raises:
            ConfigError: for an unknown network, option or augmentation.
        """
        assert self.epochs is not None
        return learner_of(
            self.learner,
            self.recipe(self.epochs),
            device=self.device,
            precision=self.precision,
            objects=self.objects,
        )

    def recipe(self, epochs: int) -> TrainingRecipe:
        """The recipe of cross-fitting and of the encoder."""
        return TrainingRecipe(
            epochs=epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
        )
