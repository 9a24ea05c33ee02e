"""Discovery on frozen features: the labelings that a linear learner repeats, and that fall in two.

Uncorrelated, balanced tasks are mixtures of what people would name. Those that mean something are
the bimodal fixed points of learning, at any class rate, and somewhat correlated with each other.
From many starts, labels are replaced by what a ridge predicts of them on rows it has not seen,
until they stay; then those are taken whose two sides are the most apart. Tasks of more classes are
fixed points of soft labels, taken by their stability. This method is the project's own.

Defaults were chosen once, by balanced accuracy against human attributes of BAR, CIFAR-10 and
Tiny-ImageNet (training parts); no attribute or label enters a search.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from taskdiscovery.config import ResolvedLearner, Use
from taskdiscovery.discovery.method import Method, Sought
from taskdiscovery.discovery.pursuit_options import PursuitOptions
from taskdiscovery.errors import ConfigError

if TYPE_CHECKING:
    from taskdiscovery.discovery.problem import Found, Problem
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder
    from taskdiscovery.types import Dataset

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, kw_only=True)
class Pursuit(PursuitOptions, Method):
    """Bimodal fixed points of ridge regression on features. Seconds to minutes on one core."""

    name: ClassVar[str] = "pursuit"
    about: ClassVar[str] = "on features: labelings that a ridge repeats, and that fall in two"
    needs_features: ClassVar[bool] = True
    by_ridge: ClassVar[bool] = True

    def check_features(self, learner: str) -> None:
        """Accept them: it looks at nothing else."""

    def least_images(self, coordinates: int) -> int:
        """Say how many training images it needs, whatever is asked for."""
        return 100

    def uses(self, learner: ResolvedLearner, sought: Sought) -> list[Use]:
        """Say that no network is built."""
        return []

    def check_warm(self, encoder: Encoder | FeatureEncoder, dataset: Dataset, classes: int) -> None:
        """Refuse to begin with tasks of pixels, or of other features.

        Raises:
            ConfigError: saying which.
        """
        from taskdiscovery.encoders.linear import FeatureEncoder

        hint = "give a run of --method pursuit, or power --learner ridge, on the same features"
        if not isinstance(encoder, FeatureEncoder):
            raise ConfigError(
                "the run's tasks were found on pixels", where="--warm-start", hint=hint
            )
        width = None if dataset.features is None else dataset.features.shape[1]
        backbones = {encoder.backbone, dataset.backbone} - {None}
        if width != encoder.width or len(backbones) > 1:
            raise ConfigError(
                f"the run's tasks are of {encoder.width} features"
                + (f" of {encoder.backbone}" if encoder.backbone else "")
                + f", here are {width or 'none'}"
                + (f" of {dataset.backbone}" if dataset.backbone else ""),
                where="--warm-start",
                hint=hint,
            )

    def search(self, problem: Problem) -> Found:
        """Find tasks; arguments and errors as of `Method.search`."""
        from taskdiscovery.discovery import fixedpoints, kway_search

        many = problem.classes > 2
        found = (kway_search if many else fixedpoints).search(problem, self)
        if self.curve is None:
            return found
        measured = kway_search.curve(problem, self)
        line = ", ".join(f"{row['classes']}: {row['mean']:.2f}" for row in measured["stability"])
        classes = measured["classes"]
        says = "none is stable" if classes is None else f"as stable as any: --classes {classes}"
        _LOG.warning("stability by the number of classes: %s; %s", line, says)
        numbers = {**found.numbers, "curve": measured}
        return replace(found, numbers=numbers)
