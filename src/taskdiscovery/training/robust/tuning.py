"""Settings of robust learners, chosen by the worst group of held-out images, never of the test.

Axes: G groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from taskdiscovery.errors import DataError, NumericalError, first_line
from taskdiscovery.networks.placing import Images
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.training.loop import Hooks
from taskdiscovery.training.robust.learners import learner_named, passes
from taskdiscovery.training.robust.problem import Problem, Settings, by_group_of
from taskdiscovery.training.watch import Unwatched, Watch
from taskdiscovery.types import Document, Record

#: does a piece of work under a key, or returns what it gave when it was done before.
Do = Callable[[str, Callable[[Watch], Record]], Record]

#: values that are tried of each setting, every combination; the defaults first.
GRIDS: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "group dro": {"rate": (0.01, 0.1, 1.0)},
    "jtt": {"first": (0.2, 0.5), "up": (100.0, 20.0, 5.0)},
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Tuned:
    """What was chosen.

    Attributes:
        settings: the best by `worst`; of equal ones, as they are where held-out images are few, by
            `mean`; then the first.
        table: a row for each that was tried: its settings, the accuracy of the `worst` group and
            the `mean` over groups, or why it `failed`.
    """

    settings: Settings
    table: tuple[Document, ...]


def grid(name: str, settings: Settings) -> list[Settings]:
    """Return the settings that are tried for a learner; the given ones if it has none to tune."""
    own: Mapping[str, tuple[Any, ...]] = GRIDS.get(name, {})
    return [
        replace(settings, **dict(zip(own, values, strict=True)))
        for values in product(*own.values())
    ]


def choose(
    name: str,
    problem: Problem,
    images: Images,
    hooks: Hooks | None = None,
    do: Do | None = None,
) -> Tuned:
    """Train with each of a learner's settings; choose by the worst group of the held-out images.

    Args:
        name: one of `ROBUST`.
        problem: with held-out images. Where these also serve the learner (last layers), it chooses
            on a half of them for itself, and nothing is trained here.
        images: as of `Training.run`.
        hooks: progress; what they save is left alone.
        do: does each training under a key, or knows what it gave: that of a journal; by default
            each is done, and nothing saved.

    Raises:
        ConfigError: for an unknown name.
        DataError: without held-out images.
        NumericalError: where every training diverges.
    """
    learner_named(name)
    if problem.held is None:
        raise DataError(
            "settings are chosen on held-out images with their groups, and there are none",
            hint="hold out some of each group, which are neither trained on nor measured",
        )
    tried = grid(name, problem.settings)
    if len(tried) == 1:
        return Tuned(settings=tried[0], table=())
    meter, do = (hooks or Hooks()).meter, do or _done
    table: list[Document] = []
    best, most = None, (-1.0, -1.0)
    for settings in tried:
        own = _Trial(name=name, problem=replace(problem, settings=settings), images=images)
        row: Document = {**asdict(settings), **own.result(meter, do)}
        table.append(row)
        reached = (row.get("worst", -1.0), row.get("mean", -1.0))
        if reached > most:
            best, most = settings, reached
    if best is None:
        raise NumericalError(
            f"all trainings of {name} diverged",
            where=problem.training.learner.name,
            hint="lower --learning-rate, or use --precision float32",
        )
    return Tuned(settings=best, table=tuple(table))


@dataclass(frozen=True, eq=False, kw_only=True)
class _Trial:
    """One training, with settings to be tried."""

    name: str
    problem: Problem
    images: Images

    def result(self, meter: Meter, do: Do) -> Document:
        """Return `worst` and `mean`, or why it `failed`."""
        began = False

        def work(watch: Watch) -> Record:
            nonlocal began
            began = True
            return Record(values=self._trained(Hooks(meter=meter, watch=watch)))

        key = " ".join(f"{own}={getattr(self.problem.settings, own):g}" for own in GRIDS[self.name])
        found = dict(do(key, work).values)
        if not began:
            meter.advance(passes(self.name, self.problem))
        return found

    def _trained(self, hooks: Hooks) -> Document:
        held, precision = self.problem.held, self.problem.training.learner.precision
        assert held is not None
        try:
            model = learner_named(self.name)(self.problem, self.images, hooks)
        except NumericalError as error:
            return {"failed": first_line(error)}
        found = by_group_of(model, self.images, held, precision)
        return {"worst": found.worst, "mean": float(np.nanmean(found.accuracy_G))}


def _done(key: str, work: Callable[[Watch], Record]) -> Record:
    return work(Unwatched())
