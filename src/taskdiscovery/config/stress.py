"""Options of `stress`: a benchmark of anyone's data, and the learners that are tried on it."""

from __future__ import annotations

from dataclasses import dataclass

from taskdiscovery.config.learners import is_convex
from taskdiscovery.config.measure import TrainingConfig
from taskdiscovery.config.options import option
from taskdiscovery.errors import ConfigError

ALL = "all"
#: learners that `training.robust` has, with dashes for its spaces. Class reweighting is left out:
#: classes of a benchmark are equally large, so that it is ERM.
BASELINES = ("erm", "group-reweighting", "group-dro", "jtt", "last-layer")
STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, kw_only=True)
class StressConfig(TrainingConfig):
    """`stress`: training sets in which a task goes with the target, more and more, and tests."""

    target: str = option(
        "",
        "the labeling to learn: label, label:0,1, attr:COLUMN, FILE:COLUMN",
        names="labeling",
    )
    tasks: str = option(
        "",
        "the binary task that goes with it; of several the first",
        flag="from",
        metavar="RUN[:TASK]|FILE:COLUMN|attr:COLUMN",
        names="tasks",
    )
    strengths: tuple[float, ...] = option(
        STRENGTHS,
        "shares of the training images on which target and task agree, from 0.5 to 1",
        metavar="SHARE[,SHARE]",
    )
    validation: float = option(
        0.1,
        "images to validate on, as a share of those to train on",
        low=0.001,
        high=1.0,
    )
    baselines: tuple[str, ...] = option(
        (),
        "train these on every strength, and put a table of them into the card: all, or some of "
        + ", ".join(BASELINES),
        choices=(ALL, *BASELINES),
        metavar="LEARNER[,LEARNER]",
    )
    tune: bool = option(
        True,
        "choose the settings of group-dro and jtt by the worst group of the validation images; "
        "without it they are published ones, which were found on other data",
    )
    runs: int = option(3, "trainings per figure, each from a fresh seed", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "baselines", self.tried)
        if not self.strengths or not all(0.5 <= share <= 1 for share in self.strengths):
            raise ConfigError(
                f"strengths are {', '.join(f'{share:g}' for share in self.strengths) or 'none'}",
                where="--strengths",
                hint="give shares from 0.5 to 1, e.g. --strengths 0.5,0.8,1",
            )
        if is_convex(self.learner):
            raise ConfigError(
                "baselines are networks, which look at pixels",
                where=f"--learner {self.learner}",
                hint="choose a network: convnet, resnet18, mlp, vit",
            )
        if self.executor not in ("auto", "serial"):
            raise ConfigError(
                "baselines are trained in this process",
                where=f"--executor {self.executor}",
                hint="leave it out",
            )

    def usual_learner(self) -> str:
        """Say which learner is meant where none is named: one of pixels, always."""
        return "convnet"

    @property
    def on_features(self) -> bool:
        """Whether the learner looks at features: a benchmark has images alone."""
        return False

    @property
    def tried(self) -> tuple[str, ...]:
        """The baselines by name, each once, in the order of `BASELINES`."""
        return tuple(name for name in BASELINES if {ALL, name} & set(self.baselines))
