"""How learners fare on a benchmark: a row each, as a table and in the card.

Axes: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskdiscovery.errors import printable
from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.types import Document, Interval

if TYPE_CHECKING:
    import pandas as pd

#: figures of a row: on either test set, of both mixed as the training images are, and of the worst
#: group of both.
FIGURES = ("agreeing", "conflicting", "mixed", "worst")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """A learner that was trained on a strength.

    Attributes:
        strength: of the training images.
        learner: how it resists shortcuts, one of `config.stress.BASELINES`.
        runs: trainings that ended well.
        accuracy: by `FIGURES`, over runs and images; empty where it failed.
        worst_group: name of the group of the last figure.
        settings: those of its own, e.g. `rate=0.01`.
        failed: why it has no figures; empty where it has.
    """

    strength: float
    learner: str
    runs: int
    accuracy: Mapping[str, Interval] = field(default_factory=dict)
    worst_group: str = ""
    settings: str = ""
    failed: str = ""

    def row(self) -> Document:
        """Return a flat row: `conflicting`, `conflicting_low`, `conflicting_high`, …."""
        found: Document = {"strength": self.strength, "learner": self.learner, "runs": self.runs}
        for name in FIGURES:
            own = self.accuracy.get(name)
            found[name] = None if own is None else own.mean
            found[f"{name}_low"] = None if own is None else own.low
            found[f"{name}_high"] = None if own is None else own.high
        more = {"worst_group": self.worst_group, "settings": self.settings, "failed": self.failed}
        return {**found, **more}


@dataclass(frozen=True, eq=False, kw_only=True)
class Stressed:
    """What `stress` gives.

    Attributes:
        benchmark: which image is where, at every strength.
        baselines: how learners fare on it; empty where none was asked for.
    """

    benchmark: Benchmark
    baselines: tuple[Baseline, ...] = ()

    @property
    def target(self) -> str:
        """Name of what is to be learnt."""
        return self.benchmark.target.name

    @property
    def task(self) -> str:
        """Name of the task that goes with it."""
        return self.benchmark.task.name

    @property
    def numbers(self) -> Document:
        """What was made, in a few numbers."""
        own = self.benchmark
        first = own.rows(own.strengths[0])
        return {
            "target": self.target,
            "task": self.task,
            "strengths": ", ".join(f"{s:.2f}" for s in own.strengths),
            **{name: len(rows) for name, rows in first.items()},
            "copies_left_out": own.copies,
            "seed": own.seed,
        }

    def rows(self) -> list[Document]:
        """Return the baselines briefly, for people to read."""
        return [
            {
                "strength": f"{own.strength:.2f}",
                "learner": own.learner,
                **{name: _told(own.accuracy.get(name)) for name in FIGURES},
                **({"failed": own.failed} if any(one.failed for one in self.baselines) else {}),
            }
            for own in self.baselines
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per strength and learner, as `baselines.csv` has them."""
        return frame_of(self.baselines)


def frame_of(found: Sequence[Baseline]) -> pd.DataFrame:
    """Return one row per strength and learner."""
    import pandas as pd

    columns = list(Baseline(strength=1.0, learner="", runs=0).row())
    return pd.DataFrame([own.row() for own in found], columns=columns)


def section(found: Sequence[Baseline], how: str) -> str:
    """Return what the card says of the baselines.

    Args:
        found: a row each.
        how: they were trained.
    """
    lines = [f"| strength | learner | {' | '.join(FIGURES)} |", "|---|---|" + "---|" * len(FIGURES)]
    for own in found:
        told = [_told(own.accuracy.get(name)) for name in FIGURES]
        lines.append(f"| {own.strength:.2f} | {own.learner} | {' | '.join(told)} |")
    failed = [own for own in found if own.failed]
    told_failed = "".join(
        f"\n- {own.learner} at {own.strength:.2f} has no figures: {printable(own.failed)}"
        for own in failed
    )
    return f"""
## Baselines

{how}

{chr(10).join(lines)}
{told_failed}
Means over runs, with 95 % intervals over runs and images: on `test_agreeing`, on
`test_conflicting`, on both mixed as the training images are (in distribution), and in the worst
group of both. The worst group was chosen on the images that it is measured on, so that its figure
is a little low. `baselines.csv` has all digits, the settings and the groups' names.
"""


def _told(own: Interval | None) -> str:
    return "—" if own is None else f"{own.mean:.3f} ({own.low:.3f} to {own.high:.3f})"
