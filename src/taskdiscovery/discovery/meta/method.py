"""Discovery by meta-gradient: the published method, complete.

The encoder is changed by gradient descent so that networks trained on its tasks agree, and the
gradient goes through their whole training.

Source: Atanov et al., "Task Discovery", NeurIPS 2022; the released settings are the config
`published`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from taskdiscovery.config import ResolvedLearner, Use, flag_of, learner_of
from taskdiscovery.discovery.meta.options import MetaOptions
from taskdiscovery.discovery.method import Method, Sought
from taskdiscovery.errors import ConfigError
from taskdiscovery.types import Dataset

if TYPE_CHECKING:
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder

if TYPE_CHECKING:
    from taskdiscovery.discovery.problem import Found, Problem


@dataclass(frozen=True, kw_only=True)
class Meta(MetaOptions, Method):
    """The paper's meta-gradient, with its variants."""

    name: ClassVar[str] = "meta"
    about: ClassVar[str] = "the paper's meta-gradient through the training of networks"
    constrained: ClassVar[bool] = False

    def check_features(self, learner: str) -> None:
        """Refuse options that name another thing to search on.

        Raises:
            ConfigError: naming both.
        """
        for name in ("encoder_weights", "warm_start", "encoder"):
            if getattr(self, name):
                raise ConfigError(
                    f"--features and {flag_of(name)} are both given",
                    where="--method meta",
                    hint="give one of the two",
                )

    def check_warm(self, encoder: Encoder | FeatureEncoder, dataset: Dataset, classes: int) -> None:
        """Refuse to begin with tasks of features, of other images, or of another number of classes.

        Raises:
            ConfigError: saying which.
        """
        from taskdiscovery.encoders.encoder import Encoder

        if not isinstance(encoder, Encoder):
            raise ConfigError(
                "the run's tasks were found on features, by no network that could go on",
                where="--warm-start",
                hint="give a run of --method power, spectral or meta on pixels",
            )
        if encoder.image_shape != dataset.image_shape or encoder.classes != classes:
            raise ConfigError(
                f"the run's tasks have {encoder.classes} classes, on images of "
                f"{encoder.image_shape}; here {classes} and {dataset.image_shape} are asked for",
                where="--warm-start",
                hint="give a run on images of this size, with as many --classes",
            )

    def uses(self, learner: ResolvedLearner, sought: Sought) -> list[Use]:
        """Say which networks are built: those that are to agree, and the encoder."""
        inner = Use(learner=learner, outputs=sought.classes)
        if sought.features:  # an encoder is fitted to what was found
            return [inner, Use(learner=learner, outputs=sought.coordinates, encoder=True)]
        if self.warm_start and not self.encoder:  # the run's own, which is at hand
            return [inner]
        whose = learner
        if self.encoder:
            whose = learner_of(
                self.encoder,
                learner.recipe,
                device=learner.device,
                precision=learner.precision,
                objects=sought.objects,
            )
        return [
            inner,
            Use(
                learner=whose,
                outputs=sought.coordinates,
                encoder=True,
                set_last=True,
                option="--encoder" if self.encoder else "--learner",
            ),
        ]

    def resolve(self, learner: ResolvedLearner, dataset: Dataset, classes: int, seed: int) -> Self:
        """Decide what the gradient keeps in memory, and whether it is compiled."""
        from taskdiscovery.discovery.meta.planning import decide_memory

        return decide_memory(self, learner, dataset, classes, seed)

    def search(self, problem: Problem) -> Found:
        """Find tasks by gradient descent, then freeze the encoder's statistics."""
        from taskdiscovery.discovery.meta.building import search

        return search(problem, self)
