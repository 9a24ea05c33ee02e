"""Spectral discovery: the top principal components of an untrained network's features.

Where networks behave like a fixed kernel, these are the first labelings that it learns; power
iteration starts from them.

Axes: N training images, F features, P coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from taskdiscovery.config import ResolvedLearner, Use, option
from taskdiscovery.discovery.method import Method, Sought

if TYPE_CHECKING:
    from taskdiscovery.discovery.problem import Found, Problem


@dataclass(frozen=True, kw_only=True)
class Spectral(Method):
    """Principal components of what an untrained network sees. Seconds, and nothing is trained."""

    name: ClassVar[str] = "spectral"
    about: ClassVar[str] = "principal components of an untrained network's features"

    start: str = option(
        "features",
        "what to look at: features of the untrained network, or pixels",
        choices=("features", "pixels"),
    )
    rotate: bool = option(
        True, "turn coordinates within their span so that each cuts the images in two clear groups"
    )

    def uses(self, learner: ResolvedLearner, sought: Sought) -> list[Use]:
        """Say which networks are built: that of pixels is the package's."""
        if self.start == "pixels":
            return []
        return [Use(learner=learner, outputs=sought.coordinates, encoder=True, set_last=True)]

    def search(self, problem: Problem) -> Found:
        """Find tasks; arguments and errors as of `Method.search`."""
        from taskdiscovery.discovery import subspace
        from taskdiscovery.discovery.components import components, install
        from taskdiscovery.discovery.fitting import encoder_of, untrained_features

        made = untrained_features(problem, self.start)
        constraints = problem.constraints
        mean_F, directions_FP = components(
            made.table_NF, problem.P, constraints.excluded, constraints.groups
        )
        if self.rotate and problem.classes == 2:
            coordinates_NP = subspace.apply(made.table_NF, directions_FP, mean_F)
            directions_FP = directions_FP @ subspace.bimodal_rotation(coordinates_NP)
        install(made.model, mean_F, directions_FP)
        return encoder_of(problem, made.model, made.learner)
