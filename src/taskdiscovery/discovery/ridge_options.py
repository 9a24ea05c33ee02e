"""Options of the methods that solve ridges on features."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config import Options, option


@dataclass(frozen=True, kw_only=True)
class RidgeOptions(Options):
    """How features are reduced, and how strong a ridge is."""

    components: int = option(
        384, "principal components of the features that a ridge looks at", low=2, high=10_000
    )
    ridge: float | None = option(
        None,
        "strength of a ridge on features (default: 1; for pursuit of more than two classes 0.3)",
        low=1e-6,
        high=1e6,
    )

    def strength(self, classes: int) -> float:
        """Return the strength of ridges for tasks of so many classes."""
        return 1.0 if self.ridge is None else self.ridge
