"""Options of the jobs that measure: scores, splits, evidence."""

from __future__ import annotations

from dataclasses import dataclass, replace

from taskdiscovery.config.options import C, JobConfig, WorkConfig, option
from taskdiscovery.config.recipes import PRESETS, Recipe
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.learners import check_learner


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(WorkConfig):
    """How learners that are measured are trained; what is None comes from the preset."""

    preset: str = option("quick", "sizes and epochs together", choices=tuple(PRESETS))
    train_images: int | None = option(None, "train on at most so many images", low=2)
    test_images: int | None = option(None, "measure on at most so many images", low=1)
    epochs: int | None = option(None, "passes over the training images", low=1, high=100_000)
    batch: int = option(512, "images per step", low=2, high=1_000_000)
    learning_rate: float = option(1e-3, "learning rate of Adam", low=0.0, high=100.0)

    def resolved(self: C) -> C:
        """Fill in what the preset decides."""
        preset = PRESETS[getattr(self, "preset")]  # noqa: B009
        filled = {
            name: getattr(preset, name)
            for name in ("train_images", "test_images", "epochs", "shared_order")
            if getattr(self, name, 0) is None
        }
        return replace(self, **filled)

    @property
    def recipe(self) -> Recipe:
        """The recipe of a scored learner."""
        preset = PRESETS[self.preset]
        return Recipe(
            epochs=preset.epochs if self.epochs is None else self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            recalibrate=preset.recalibrate,
        )


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(TrainingConfig):
    """`score`: agreement scores of labelings."""

    target: str = option("", "human labeling: label, label:0,1, attr:COLUMN, FILE:COLUMN")
    source: str = option(
        "", "score the tasks of a run, or of a table of labelings", flag="from", metavar="RUN|FILE"
    )
    runs: int = option(2, "independent trainings per task", low=2, high=1000)
    vary: str = option("init,order", "what differs between runs: init, order, data")
    shared_order: bool | None = option(None, "give every run identical batches, as published")
    early: bool = option(
        False,
        "end a run when its predictions on held-out images have settled: ranks tasks as whole runs "
        "do, at a third of the cost",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in self.vary.split(","):
            if word not in VARIED:
                raise ConfigError(
                    f"runs cannot vary by {word!r}", where="--vary", mend=nearest(word, VARIED)
                )
        if self.target and self.source:
            raise ConfigError(
                "--target and --from are both given", where="score", mend="give one of the two"
            )


VARIED = ("init", "order", "data")


@dataclass(frozen=True, kw_only=True)
class SplitConfig(TrainingConfig):
    """`split`: a train-test split that breaks a learner on a target, beside its controls."""

    target: str = option("", "the labeling to break: label, label:0,1, attr:COLUMN, FILE:COLUMN")
    source: str = option(
        "",
        "where the cutting task comes from",
        flag="from",
        metavar="RUN[:TASK]|FILE:COLUMN|untrained:NET",
    )
    orientation: str = option(
        "auto",
        "which class of the task goes with which class of the target",
        choices=("auto", "same", "opposite"),
    )
    class_balanced: bool | None = option(
        None, "cut the task at its median within each class (default for more than two classes)"
    )
    search: bool = option(
        False, "try all tasks, orientations and groupings of the classes, and judge the worst again"
    )
    controls: str = option(
        "random,untrained,hard,kmeans", "controls of the same size and class counts"
    )
    transfer: str = option(
        "", "other learners to train on the same split, e.g. 'mlp;vit?width=0.5'"
    )
    runs: int = option(3, "trainings per figure, each from a fresh seed", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        for word in self.control_names:
            if word not in CONTROL_NAMES:
                raise ConfigError(
                    f"unknown control {word!r}",
                    where="--controls",
                    mend=nearest(word, CONTROL_NAMES),
                )
        if "random" not in self.control_names:
            raise ConfigError(
                "the control `random` is left out",
                where="--controls",
                mend="keep it: a split says nothing without it",
            )
        for learner in self.transfer_learners:
            check_learner(learner)

    @property
    def control_names(self) -> list[str]:
        """The controls asked for."""
        return [word.strip() for word in self.controls.split(",") if word.strip()]

    @property
    def transfer_learners(self) -> list[str]:
        """The learner SPECs that the split is tried on besides its own."""
        return [text.strip() for text in self.transfer.split(";") if text.strip()]


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig(JobConfig):
    """`analyze`: evidence for what each task of a run is about."""

    images: int = option(
        5000, "measure associations on at most so many images that discovery has not seen", low=20
    )
    probe_images: int = option(1000, "ask counterfactual probes of at most so many images", low=10)
    text_model: str = option(
        "", "CLIP model on disk whose words are set beside each task", metavar="PATH"
    )


CONTROL_NAMES = ("random", "untrained", "hard", "kmeans")
