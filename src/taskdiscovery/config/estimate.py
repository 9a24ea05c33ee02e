"""Options of `estimate`."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config.measure import TrainingConfig
from taskdiscovery.config.options import option
from taskdiscovery.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class EstimateConfig(TrainingConfig):
    """`estimate`: the accuracy of a learner on images that nobody has labelled."""

    target: str = option(
        "label", "the labeling: label, label:0,1, attr:COLUMN, FILE:COLUMN", names="labeling"
    )
    on: str = option(
        "",
        "the images whose accuracy is asked for; their labels are not looked at",
        metavar="DATA2",
        names="other",
    )
    other_features: str = option(
        "",
        "features of these images, where those of DATA are a table",
        metavar="FILE|BACKBONE",
        names="features",
    )
    tasks: str = option(
        "",
        "tasks of a run: what accuracy would be if runs followed one in place of the label",
        flag="from",
        metavar="RUN[:TASK,…]",
        names="tasks",
    )
    held_out: float = option(
        0.2,
        "share of the labelled images that calibrates and is not trained on; with --test it is "
        "those images",
        low=0.01,
        high=0.5,
    )
    runs: int = option(
        3, "trainings, each from a fresh seed; one of ridge and logistic", low=1, high=1000
    )

    made_shifts: int | None = option(
        None,
        "held-out images that are corrupted in 42 ways, to see what estimators miss under shift; 0 "
        "for none; by default 500, fewer of large images or of many classes",
        low=0,
        high=100_000,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.executor not in ("auto", "serial"):
            raise ConfigError(
                "runs that are asked about other images are trained in this process",
                where=f"--executor {self.executor}",
                hint="leave it out",
            )
