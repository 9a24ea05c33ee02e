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
    ridge: float = option(1.0, "strength of a ridge on features", low=1e-6, high=1e6)
