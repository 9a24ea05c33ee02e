"""What an experiment is: how it is done, and how the page tells of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments.laboratory import Laboratory
from experiments.records import Row
from taskdiscovery.types import Tasks


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a study is to show, stated before its first run: its commit says since when.

    Attributes:
        text: one sentence with a number in it.
        paper: whether it is the paper's; else it is ours.
    """

    text: str
    paper: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a claim.

    Attributes:
        word: `holds`, `does not`, or `differs` where the truth is of another kind.
        ours: what was measured, in a line.
    """

    word: Literal["holds", "does not", "differs"]
    ours: str


@dataclass(frozen=True, kw_only=True)
class Study:
    """An experiment.

    Attributes:
        run: does it with the laboratory and a learner, and returns what is to be recorded.
        tell: writes its section from the newest records, one for each learner, in the order of
            `learners`; its figures go into the directory that it is given.
        minutes: its budget on two cores.
        learners: which it is made for.
        about: one line.
        claims: stated before its first run; they are kept in every result.
        judge: from the results that `tell` gets, what became of each claim, in their order.
    """

    run: Callable[[Laboratory, str], Row]
    tell: Callable[[list[Row], Path], str]
    minutes: int
    learners: tuple[str, ...]
    about: str
    claims: tuple[Claim, ...] = ()
    judge: Callable[[list[Row]], list[Verdict]] | None = None


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many labelings of each kind fit a learner's budget.

    Attributes:
        human: ways to cut ten classes.
        random: random labels.
        tasks: that are searched for.
        scored: of these, spread over their order.
    """

    human: int
    random: int
    tasks: int
    scored: int


SIZES = {
    "mlp": Size(human=28, random=3, tasks=32, scored=32),
    "convnet": Size(human=18, random=1, tasks=32, scored=8),
    "vit?width=0.5&patch=8": Size(human=20, random=1, tasks=32, scored=8),
    "resnet18?width=0.125": Size(human=20, random=1, tasks=32, scored=8),
}
ALL = tuple(SIZES)
#: those of the square table.
SQUARE = ALL[:3]


def found(lab: Laboratory, learner: str, tasks: int = 0, **more: Any) -> tuple[Tasks, Row]:
    """Return the tasks of a learner and the search's result; the experiments share searches."""
    tasks = tasks or SIZES[learner].tasks
    name = search(learner, tasks, **more)
    return lab.tasks(name, learner=learner, tasks=tasks, train_images=20_000, **more)


def search(learner: str, tasks: int, **more: Any) -> str:
    """Name a search by what distinguishes it."""
    return f"{learner} d={tasks}" + "".join(f" {key}={value}" for key, value in more.items())
