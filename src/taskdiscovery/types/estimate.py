"""The accuracy of a learner on images that nobody has labelled, as far as it can be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document

if TYPE_CHECKING:
    import pandas as pd

#: what `result.json` and `show` say of an estimate.
_HEADLINE = ("data", "on", "target", "learner", "runs", "images", "recommended")
_PLAIN = (
    *("data", "on", "target", "learner", "runs", "images", "calibration", "trained", "seen"),
    *("grouped", "held_out", "recommended", "why", "bound", "range", "truth", "config"),
)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Estimate:
    """What several runs of a learner tell of their mean accuracy on unlabelled images.

    Attributes:
        data, on: the labelled images, and the unlabelled ones.
        target, learner, runs: what was learnt, by whom, and how often.
        images: unlabelled images that were asked about.
        calibration, trained: labelled images that were held out, and trained on.
        seen: images of `on` that were trained on or calibrate, and so were left out.
        grouped: whether intervals take a group for one draw.
        held_out: accuracy on the calibration images.
        recommended: the estimator that a table names for so many runs, and `why`.
        bound: (1 + AS)/2, which the accuracy cannot exceed; None for one run.
        estimators: a row for each: `estimator`, `accuracy`, `low`, `high`, `level` (stated coverage
            of the interval), `covers` (what it is over: of `made-shifts` shifts like those that
            were made, of others never what a shift does), `made_miss` (mean absolute miss on made
            shifts), `recommended`, `refused` (why there is no figure), `words`, `source`.
        per_class: a row per class, of the images that the runs together take for it: `class`,
            `images`, `calibration`, `accuracy`, `low`, `high`, `level`, `covers`, `bound`,
            `refused`; by `threshold-confidence`.
        range: what accuracy would be if label and task parted as often as predictions allow: `low`,
            `high`, `low_task`, `high_task`, and `tasks`, a document each; None where no tasks were
            given, or none goes with the label.
        truth: accuracy by labels that `on` has, looked at after all else: `accuracy`, `images`,
            `unknown` (images of classes that were not learnt); None without labels.
        config: every option.
    """

    data: str
    on: str
    target: str
    learner: str
    runs: int
    images: int
    calibration: int
    trained: int
    seen: int
    grouped: bool
    held_out: float
    recommended: str
    why: str
    bound: float | None
    estimators: pd.DataFrame
    per_class: pd.DataFrame
    range: Document | None = None
    truth: Document | None = None
    config: Document = field(default_factory=dict)

    @property
    def value(self) -> Document:
        """The row of the estimator that is recommended."""
        rows = _records(self.estimators)
        return next(row for row in rows if row["estimator"] == self.recommended)

    @property
    def numbers(self) -> Document:
        """Everything as JSON takes it."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        tables = {name: _records(getattr(self, name)) for name in ("estimators", "per_class")}
        return {
            **{k: v for k, v in plain.items() if k != "config"},
            **tables,
            "config": self.config,
        }

    @property
    def headline(self) -> Document:
        """What stands in `result.json`: what is recommended, the bound, the ends of the range."""
        own = {name: getattr(self, name) for name in _HEADLINE}
        figures = {
            name: self.value[name] for name in ("accuracy", "low", "high", "level", "covers")
        }
        ends = self.range and {k: v for k, v in self.range.items() if k != "tasks"}
        return {**own, **figures, "bound": self.bound, "range": ends}

    @classmethod
    def from_numbers(cls, numbers: Mapping[str, Any]) -> Estimate:
        """Read it from its `numbers`.

        Raises:
            KeyError, TypeError, ValueError: where a value is missing, or none of its kind.
        """
        import pandas as pd

        own: Document = {name: numbers[name] for name in _PLAIN}
        for name in ("estimators", "per_class"):
            own[name] = pd.DataFrame([dict(row) for row in numbers[name]])
        for name in ("range", "truth"):
            own[name] = None if own[name] is None else dict(own[name])
        found = cls(**{**own, "config": dict(own["config"])})
        if found.recommended not in list(found.estimators["estimator"]):
            raise ValueError("what is recommended is none of its estimators")
        repr(found)  # in which a figure that is no number is found
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return a row per estimator."""
        return self.estimators

    def __repr__(self) -> str:
        own = self.value
        text = (
            f"<Estimate for {self.learner} on {self.images:,} images of {self.on}: accuracy "
            f"{own['accuracy']:.3f} ({own['low']:.3f} to {own['high']:.3f}, {self.recommended})"
        )
        if self.bound is not None:
            text += f", at most {self.bound:.3f}"
        if self.range is not None:
            text += f", tasks leave {self.range['low']:.3f} to {self.range['high']:.3f} open"
        return f"{text}>"

    def _repr_html_(self) -> str:
        shown = ("estimator", "accuracy", "low", "high", "level", "covers", "refused")
        rows = [{name: row[name] for name in shown} for row in _records(self.estimators)]
        return display.table(repr(self)[1:-1], rows)


def _records(table: pd.DataFrame) -> list[Document]:
    """Return the rows, numbers that are missing as None."""
    return [
        {str(k): (None if v != v else v) for k, v in row.items()}
        for row in table.to_dict("records")
    ]
