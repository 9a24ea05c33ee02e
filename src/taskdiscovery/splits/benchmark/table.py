"""How learners fare on a benchmark: a row each, as a table and in the card.

Axes: none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskdiscovery.errors import printable
from taskdiscovery.splits.benchmark.contents import checksum_of
from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.types import Document, Interval

if TYPE_CHECKING:
    import pandas as pd

#: figures of a row: on either test set, of both mixed as the training images are, and of the worst
#: group of both, and of either.
FIGURES = ("agreeing", "conflicting", "mixed", "worst", "worst_agreeing", "worst_conflicting")
#: those that people are shown: each group is in one test set, so that the others follow.
_SHOWN = FIGURES[:4]
#: what the part of the card begins with that tells of baselines.
HEADING = "\n## Baselines\n"


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
        chosen: how these were chosen; empty where it has none.
        groups: which images' groups it was told: `train`, `validation`, both, or none.
        failed: why it has no figures; empty where it has.
    """

    strength: float
    learner: str
    runs: int
    accuracy: Mapping[str, Interval] = field(default_factory=dict)
    worst_group: str = ""
    settings: str = ""
    chosen: str = ""
    groups: str = ""
    failed: str = ""

    def row(self) -> Document:
        """Return a flat row: `conflicting`, `conflicting_low`, `conflicting_high`, …."""
        found: Document = {"strength": self.strength, "learner": self.learner, "runs": self.runs}
        for name in FIGURES:
            own = self.accuracy.get(name)
            found[name] = None if own is None else own.mean
            found[f"{name}_low"] = None if own is None else own.low
            found[f"{name}_high"] = None if own is None else own.high
        told = ("worst_group", "settings", "chosen", "groups", "failed")
        return {**found, **{name: getattr(self, name) for name in told}}


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
            "near_copies_together": own.together,
            "tests_with_near_copies": own.near,
            "seed": own.seed,
            "checksum": checksum_of(own),
        }

    def rows(self) -> list[Document]:
        """Return the baselines briefly, for people to read."""
        return [
            {
                "strength": f"{own.strength:.2f}",
                "learner": own.learner,
                **{name: _told(own.accuracy.get(name)) for name in _SHOWN},
                "settings": own.settings or None,
                "groups": own.groups or None,
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
    heads = ["strength", "learner", *_SHOWN, "groups", "settings"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for own in found:
        told = [_told(own.accuracy.get(name)) for name in _SHOWN]
        how_set = f"{own.settings} ({own.chosen})" if own.settings else ""
        told += [own.groups or "none", printable(how_set) or "—"]
        lines.append(f"| {own.strength:.2f} | {own.learner} | {' | '.join(told)} |")
    failed = [own for own in found if own.failed]
    told_failed = "".join(
        f"\n- {own.learner} at {own.strength:.2f} has no figures: {printable(own.failed)}"
        for own in failed
    )
    return f"""{HEADING}
{how}

{chr(10).join(lines)}
{told_failed}
Means over runs, with 95 % intervals over runs and images: on `test_agreeing`, on
`test_conflicting`, on both mixed as the training images are (in distribution), and in the worst
group of both. The worst group was chosen on the images that it is measured on, so that its figure
is a little low. *Groups* says of which images a learner was told the groups, and *settings* how its
own were chosen. `baselines.csv` has all digits, the worst group of either test and the groups'
names.
"""


def _told(own: Interval | None) -> str:
    return "—" if own is None else f"{own.mean:.3f} ({own.low:.3f} to {own.high:.3f})"
