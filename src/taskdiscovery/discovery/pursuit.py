"""Discovery on frozen features: the labelings that a linear learner repeats, and that fall in two.

Uncorrelated, balanced tasks are mixtures of what people would name. Those that mean something are
the bimodal fixed points of learning, at any class rate, and somewhat correlated with each other.
From many starts, labels are replaced by what a ridge predicts of them on rows it has not seen,
until they stay; then those are taken whose two sides are the most apart. This method is the
project's own. Imperfect still: binary tasks only, and nothing can be projected out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from taskdiscovery.config import ResolvedLearner, Use
from taskdiscovery.discovery.method import Method, Sought
from taskdiscovery.discovery.pursuit_options import PursuitOptions
from taskdiscovery.errors import ConfigError

if TYPE_CHECKING:
    from taskdiscovery.discovery.problem import Found, Problem


@dataclass(frozen=True, kw_only=True)
class Pursuit(PursuitOptions, Method):
    """Bimodal fixed points of ridge regression on features. Seconds to minutes on one core."""

    name: ClassVar[str] = "pursuit"
    about: ClassVar[str] = "on features: labelings that a ridge repeats, and that fall in two"
    constrained: ClassVar[bool] = False
    needs_features: ClassVar[bool] = True

    def check_features(self, learner: str) -> None:
        """Accept them: it looks at nothing else."""

    def check_classes(self, classes: int) -> None:
        """Refuse tasks of more than two classes.

        Raises:
            ConfigError: where more are asked for.
        """
        if classes != 2:
            raise ConfigError(
                f"--method pursuit finds tasks of two classes, {classes} are asked for",
                where="--classes",
                hint="leave it out, or use --method power",
            )

    def least_images(self, coordinates: int) -> int:
        """Say how many training images it needs, whatever is asked for."""
        return 100

    def uses(self, learner: ResolvedLearner, sought: Sought) -> list[Use]:
        """Say that no network is built."""
        return []

    def search(self, problem: Problem) -> Found:
        """Find tasks; arguments and errors as of `Method.search`."""
        from taskdiscovery.discovery.fixedpoints import search

        return search(problem, self)
