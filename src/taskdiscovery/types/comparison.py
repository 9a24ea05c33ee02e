"""Tasks here and elsewhere: where their rates have moved, and which classes that puts at risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparison:
    """The rates of tasks on the images of a discovery and on others.

    Attributes:
        classes_at_risk: classes whose rates have moved beyond chance, the most first.
        classes: a row per class of the label, the one most at risk first: `class`, the `task` whose
            rate has moved most and for which `side` of it, `here`, `there`, `difference`, `low`,
            `high`, `q`, `images_here`, `images_there`; `accuracy_here` and `accuracy_there` of a
            learner where one was trained. Empty without labels.
        rates: a row per task, class of the task, factor and level: `factor` is `all`, `label` or an
            attribute; figures as above.
        by: how classes were ranked: `labels` of both, or `tasks` where the other images have none.
        images_here, images_there: images that were measured.
        seen_there: images of the other set that discovery had seen, and that were left out.
        learner: that was trained, with how many runs; empty where none was.
    """

    classes_at_risk: tuple[str, ...]
    classes: pd.DataFrame
    rates: pd.DataFrame
    by: str
    images_here: int
    images_there: int
    seen_there: int = 0
    learner: str = ""

    @property
    def numbers(self) -> Document:
        """Everything as JSON takes it, the classes at risk first."""
        return {
            "classes_at_risk": list(self.classes_at_risk),
            "by": self.by,
            "images_here": self.images_here,
            "images_there": self.images_there,
            "seen_there": self.seen_there,
            "learner": self.learner,
            "classes": _records(self.classes),
            "rates": _records(self.rates),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the rates, a row per task, class of the task, factor and level."""
        return self.rates

    def __repr__(self) -> str:
        risk = ", ".join(self.classes_at_risk) or "none"
        return (
            f"<Comparison of {self.images_here:,} images and {self.images_there:,} others, "
            f"classes at risk: {risk}>"
        )

    def _repr_html_(self) -> str:
        rows = self.classes if len(self.classes) else self.rates
        return display.table(repr(self)[1:-1], _records(rows))


def _records(table: pd.DataFrame) -> list[Document]:
    return [
        {str(k): (None if v != v else v) for k, v in row.items()}
        for row in table.to_dict("records")
    ]
