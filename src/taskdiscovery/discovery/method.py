"""What a method of discovery is: its options, and one function from a problem to what was found.

A new method is one file with a subclass of `Method`, and a row in `discovery.methods`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Self

from taskdiscovery.config import Load, Network, Options, ResolvedLearner, Use
from taskdiscovery.errors import ConfigError
from taskdiscovery.types import Dataset

if TYPE_CHECKING:
    from taskdiscovery.discovery.problem import Found, Problem
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What a search looks for.

    Attributes:
        coordinates: how many the tasks have together.
        classes: of each task.
        features: whether it looks at given numbers in place of pixels.
        objects: networks of the caller's own, by name.
    """

    coordinates: int
    classes: int
    features: bool = False
    objects: Mapping[str, Network] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Method(Options):
    """A method of discovery with its own options; each is checked when the object is made.

    Raises:
        ConfigError: for a wrong type, a value out of range, or options that do not go together.
    """

    #: what `--method` calls it.
    name: ClassVar[str]
    #: what it does, in a line of the help.
    about: ClassVar[str]
    #: whether it trains networks independently of each other, which workers can share.
    separate_trainings: ClassVar[bool] = False
    #: whether it keeps to `exclude` and `within`.
    constrained: ClassVar[bool] = True
    #: whether it looks at features, and at nothing else.
    needs_features: ClassVar[bool] = False
    #: whether it can take the learner `ridge`, which looks at features.
    by_ridge: ClassVar[bool] = False

    def check_features(self, learner: str) -> None:
        """Refuse to search on given features, where the method or its options cannot.

        Args:
            learner: SPEC of the job's.

        Raises:
            ConfigError: saying why.
        """
        raise ConfigError(
            f"--method {self.name} looks at pixels",
            where="--features",
            hint="add --method pursuit or meta, or --method power --learner ridge",
        )

    def check_classes(self, classes: int) -> None:
        """Refuse tasks of so many classes, where the method cannot find such.

        Raises:
            ConfigError: saying so.
        """

    @property
    def warm_run(self) -> str:
        """The run whose tasks the search begins with; empty for none."""
        return str(getattr(self, "warm_start", ""))

    def check_warm(self, encoder: Encoder | FeatureEncoder, dataset: Dataset, classes: int) -> None:
        """Refuse to begin with an encoder that is none of this method's.

        Args:
            encoder: of `warm_run`.
            dataset: that is searched.
            classes: of each task.

        Raises:
            ConfigError: saying why.
        """
        raise ConfigError(
            f"--method {self.name} begins with no other run",
            where="--warm-start",
            hint="use --method pursuit or meta",
        )

    def least_images(self, coordinates: int) -> int:
        """Say how many training images so many coordinates need."""
        return max(16, 2 * coordinates)

    def load(self, epochs: int, images: int) -> Load:
        """Say how much will be trained, with so many epochs on so many training images."""
        return Load()

    def uses(self, learner: ResolvedLearner, sought: Sought) -> list[Use]:
        """Say which networks a search builds, so that those of the user's are tried before.

        Args:
            learner: of the job.
            sought: what is looked for.
        """
        return [Use(learner=learner, outputs=sought.coordinates, encoder=True)]

    def resolve(self, learner: ResolvedLearner, dataset: Dataset, classes: int, seed: int) -> Self:
        """Take the decisions that depend on the machine, once; return the method that has them.

        Raises:
            ConfigError: where the learner cannot be used.
        """
        return self

    @abstractmethod
    def search(self, problem: Problem) -> Found:
        """Find tasks.

        Args:
            problem: images, learner, how many tasks, constraints.

        Returns:
            An encoder, and what is known of its tasks.

        Raises:
            NumericalError: where training diverges or the embedding collapses.
            ConfigError: where the learner cannot be used.
        """
