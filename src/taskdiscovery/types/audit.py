"""What an audit of labelled images found: cues that go with the labels, and what follows.

Axes: N images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document, IntArray
from taskdiscovery.types.scores import Interval

if TYPE_CHECKING:
    import pandas as pd

#: verdicts, the worst first; `NONE` where there are too few images for any.
FAIL, WARN, PASS, NONE = "FAIL", "WARN", "PASS", "NONE"
#: what a view looks at: facts of the files, how a picture was made, or what it was taken of.
FILE, ARTEFACT, CONTEXT = "file", "artefact", "context"


#: figures of a cue that have an interval.
_INTERVALS = ("unique", "follows", "aligned", "conflict")


@dataclass(frozen=True, eq=False, kw_only=True)
class Cue:
    """What one view of the images says of one labeling.

    Attributes:
        view: its name, as in `--allow`: `corner lower right`, `colour`, `codec`, ….
        kind: `file`, `artefact` or `context`.
        words: what is seen, e.g. "something in the lower right corner".
        target: the labeling, as it was named.
        class_name: the class that the figures are of: the one that the view tells best, against the
            rest.
        classes: all classes that it is present for.
        present: whether the labels carry it beyond what the content explains.
        reasons: the tests that say so: `unique`, `control`, `modes`, `ratio`.
        unique: U, gain in log loss over the rest of the picture, in nats an image, and its 95 %
            interval.
        unique_z: U in its standard error.
        control_z: Z, against the matched control (McNemar); None where there is none.
        mode_gain, mode_distance, mode_difference: M, two shared heaps against one a class: gain in
            log likelihood, distance in deviations, difference of the classes' shares; None where
            heaps are not looked for.
        strength: what cues are ranked by: the strongest test, in its threshold.
        ratio: R, skill of the view over skill of the whole picture.
        skill: 1 minus its loss over that of a coin, out of fold.
        accuracy: out of fold, mean over both classes.
        joint: of more than two classes, the share that the view alone tells, all at once, out of
            fold, mean over classes; None for two.
        follows: F, how much more often a network's decision becomes the donor's class where the
            view is taken from an image of another class than it changes where the donor is of the
            same; None where no network was asked, or the view cannot be exchanged.
        aligned, conflict: accuracy of networks on held-out images where the view tells the class,
            and where it tells another; None where no network was asked or there are too few.
        used: whether a network follows it; None where none was asked or the view cannot be
            exchanged.
        aligned_rows, conflict_rows: rows of the data set in which the view tells the class clearly,
            the clearest first, and those in which it tells another.
        box: (top, left, bottom, right) as shares of height and width, of what the view looks at;
            several, where it has several places; empty where it is the whole picture.
        allowed: whether `--allow` names it.
        remedy: what to do, one sentence.
    """

    view: str
    kind: str
    words: str
    target: str
    class_name: str
    classes: tuple[str, ...] = ()
    present: bool
    reasons: tuple[str, ...] = ()
    unique: Interval
    unique_z: float
    control_z: float | None = None
    mode_gain: float | None = None
    mode_distance: float | None = None
    mode_difference: float | None = None
    strength: float
    ratio: float
    skill: float
    accuracy: float
    joint: float | None = None
    follows: Interval | None = None
    aligned: Interval | None = None
    conflict: Interval | None = None
    used: bool | None = None
    aligned_rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    conflict_rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64), repr=False)
    box: tuple[tuple[float, float, float, float], ...] = ()
    allowed: bool = False
    remedy: str = ""

    @property
    def row(self) -> Document:
        """The same as `numbers` in plain cells, as in `cues.csv`: ends of intervals apart."""
        found: Document = {}
        for key, value in self.numbers.items():
            if key == "box":
                found[key] = "; ".join(" ".join(f"{x:.4g}" for x in box) for box in value)
            elif isinstance(value, list):
                found[key] = "; ".join(map(str, value))
            elif key in _INTERVALS:
                ends = ("mean", "low", "high") if value is None else tuple(value)
                cells = [None] * 3 if value is None else list(value.values())
                names = [key if end == "mean" else f"{key}_{end}" for end in ends]
                found |= dict(zip(names, cells, strict=True))
            else:
                found[key] = value
        return found

    @property
    def numbers(self) -> Document:
        """Everything but the rows, as in `audit.json`."""
        plain = {
            key: value for key, value in vars(self).items() if not isinstance(value, np.ndarray)
        }
        for key, value in plain.items():
            if isinstance(value, Interval):
                plain[key] = {"mean": value.mean, "low": value.low, "high": value.high}
            elif isinstance(value, tuple):
                plain[key] = [list(v) if isinstance(v, tuple) else v for v in value]
        counts = {"aligned_images": len(self.aligned_rows)}
        return {**plain, **counts, "conflict_images": len(self.conflict_rows)}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        verdict: `FAIL`, `WARN`, `PASS`, or `NONE` where there are too few images.
        sentence: the finding, in one sentence.
        cues: of every target and view, present ones first, by strength.
        verdicts: of each target, by name.
        classes: of each target, by name, how many images each class has.
        looked_at: names of the views.
        not_looked_at: what was not looked at, and why; one line each.
        notes: what the figures are limited by (power, controlled layout, groups); one line each.
        images: how many were looked at.
        data: what was audited.
        ids: (N,) of the data set, for the rows of cues.
        networks: what was trained to see what is used; empty where nothing was.
        semantic: groups within classes found on frozen features: `target`, `class`, `group`,
            `images`, `accuracy`, `low`, `high`, `control` (of groups of the same sizes drawn by
            chance, with `control_low`, `control_high`), `left_out` (of a learner that has seen none
            of the group, with an interval), `left_out_control` (of arbitrary cuts of the class,
            with `left_out_control_low`), `taken_for`, `at_risk`, `why`, `looks`, `examples` (ids);
            None where features were not given.
        tasks: tasks of a run that are present in the labels: `target`, `task`, `class`, `about`,
            `auc`, `low`, `high`, `present`, `cut`, `split_accuracy`, `random_accuracy`, both with
            an interval, `split_images`; None where no run was given.
        comparison: classes at risk on a second data set, as `compare` says it; None without.
        seconds: what it took.
        config: every option.
    """

    verdict: str
    sentence: str
    cues: tuple[Cue, ...]
    verdicts: Mapping[str, str]
    classes: Mapping[str, Mapping[str, int]]
    looked_at: tuple[str, ...]
    not_looked_at: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    images: int
    data: str
    ids: Any = field(repr=False)
    networks: str = ""
    semantic: pd.DataFrame | None = None
    tasks: pd.DataFrame | None = None
    comparison: Document | None = None
    seconds: float = 0.0
    config: Document = field(default_factory=dict)

    @property
    def present(self) -> tuple[Cue, ...]:
        """The cues that are present, and not allowed; the strongest first."""
        return tuple(cue for cue in self.cues if cue.present and not cue.allowed)

    def __repr__(self) -> str:
        return f"<Audit {self.verdict}: {self.sentence}>"

    def _repr_html_(self) -> str:
        return display.table(repr(self)[1:-1], [cue.numbers for cue in self.present])

    def to_frame(self) -> pd.DataFrame:
        """Return one row per target and view, with the figures."""
        import pandas as pd

        return pd.DataFrame([cue.row for cue in self.cues])

    @property
    def numbers(self) -> Document:
        """Everything but the rows, as in `audit.json`."""
        tables = {
            name: None if table is None else json.loads(table.to_json(orient="records"))
            for name, table in (("semantic", self.semantic), ("tasks", self.tasks))
        }
        return {
            "verdict": self.verdict,
            "sentence": self.sentence,
            "verdicts": dict(self.verdicts),
            "data": self.data,
            "images": self.images,
            "classes": {name: dict(own) for name, own in self.classes.items()},
            "cues": [cue.numbers for cue in self.cues],
            "looked_at": list(self.looked_at),
            "not_looked_at": list(self.not_looked_at),
            "notes": list(self.notes),
            "networks": self.networks,
            **tables,
            "comparison": self.comparison,
            "seconds": self.seconds,
            "config": dict(self.config),
        }

    def to_json(self, path: Path | str) -> Path:
        """Write `numbers` to a file; return its path."""
        path = Path(path)
        path.write_text(json.dumps(self.numbers, indent=1, default=str) + "\n", encoding="utf-8")
        return path
