"""Options of `audit`."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config.learners import is_convex
from taskdiscovery.config.measure import TrainingConfig
from taskdiscovery.config.options import option
from taskdiscovery.errors import ConfigError

LAYOUTS = ("auto", "free", "controlled")
ASKED = ("auto", "always", "never")


@dataclass(frozen=True, kw_only=True)
class AuditConfig(TrainingConfig):
    """`audit`: cues that go with labels, and whether a network follows them."""

    target: tuple[str, ...] = option(
        ("label",),
        "the labelings to audit: label, label:0,1, attr:COLUMN, FILE:COLUMN; several between `;`",
        separator=";",
        metavar="SPEC[;SPEC]",
        names="labeling",
    )
    allow: tuple[str, ...] = option(
        (),
        "views that may go with the label, by name (colour) or kind (context): told, and no "
        "reason for a verdict",
        metavar="VIEW[,VIEW]",
    )
    layout: str = option(
        "auto",
        "controlled: all pictures are taken alike (X-rays, digits), so that places mean something; "
        "auto measures it",
        choices=LAYOUTS,
    )
    networks: str = option(
        "auto",
        "train networks to see which cues are followed: auto where an artefact is present, always "
        "where context is, too",
        choices=ASKED,
    )
    tasks: str = option(
        "",
        "tasks of a run: those that are present in the labels are tried as splits",
        flag="from",
        metavar="RUN",
        names="tasks",
    )
    other: str = option(
        "",
        "a second data set: which classes are at risk there, by the tasks of --from",
        metavar="DATA2",
        names="other",
    )
    runs: int = option(
        3, "networks, each asked about the images that it was not trained on", low=2, high=100
    )

    def __post_init__(self) -> None:
        if is_convex(self.learner):
            raise ConfigError(
                f"an audit asks networks about pixels, and {self.learner} looks at features",
                where=f"--learner {self.learner}",
                hint="take --learner convnet; --features are for groups within classes",
            )
        super().__post_init__()

    def usual_learner(self) -> str:
        """Say which learner is meant where none is named: one that looks at pixels."""
        return "convnet"

    @property
    def on_features(self) -> bool:
        """Whether the learner looks at features: never, cues are seen in pixels."""
        return False
