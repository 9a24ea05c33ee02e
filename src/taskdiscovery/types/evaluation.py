"""What a learner that is kept predicts on images, beside what they are.

Axes: n images, K runs, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document
from taskdiscovery.types.scores import Interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Evaluation:
    """How a learner fares on images that it was not trained on.

    Figures are means over the runs: what one training gives. `results` and `together` are of the
    runs' mean probability.

    Attributes:
        data, target, learner: what was asked of what, and who answered.
        images: that were measured.
        runs: the accuracy of each run.
        accuracy: mean over runs, with an interval over images (groups, where there are some) and
            runs.
        balanced: mean over classes of the accuracy in each.
        majority: what always answering the commonest class of these images gives.
        together: accuracy of the mean of the runs' probabilities.
        per_class: a row per class that has images: `class`, `images`, `accuracy`, `low`, `high`,
            `covers`, and `predicted`, how many images the class is predicted for.
        per_level: a row per level of each attribute (and per group, as `group`): `factor`, `level`,
            `images`, `accuracy`, `low`, `high`, `covers`; empty where nothing is known of them.
        confusion: a row per true class and a column per predicted one: images, averaged over runs.
        results: a row per image: `image_id`, `true`, `predicted`, `confidence`, `right` (the share
            of runs that are).
        seen: images that were left out, since the learner was trained on them.
        unknown: images that were left out, since the learner knows no class of that name.
        grouped: whether intervals take a group for one draw.
    """

    data: str
    target: str
    learner: str
    images: int
    runs: tuple[float, ...]
    accuracy: Interval
    balanced: float
    majority: float
    together: float
    per_class: pd.DataFrame
    per_level: pd.DataFrame
    confusion: pd.DataFrame
    results: pd.DataFrame = field(repr=False)
    seen: int = 0
    unknown: int = 0
    grouped: bool = False

    @property
    def worst(self) -> Document | None:
        """The row of `per_level` with the least accuracy, of levels with ten images or more."""
        rows = [row for row in self.per_level.to_dict("records") if row["images"] >= LEAST]
        if not rows:
            return None
        return {str(k): v for k, v in min(rows, key=lambda row: row["accuracy"]).items()}

    @property
    def numbers(self) -> Document:
        """Everything but the images as JSON takes it."""
        return {
            "data": self.data,
            "target": self.target,
            "learner": self.learner,
            "images": self.images,
            "accuracy": self.accuracy.to_json(),
            "balanced_accuracy": self.balanced,
            "majority": self.majority,
            "together": self.together,
            "runs": list(self.runs),
            "grouped": self.grouped,
            "left_out": {"seen": self.seen, "unknown_class": self.unknown},
            "worst": self.worst,
            "per_class": self.per_class.to_dict("records"),
            "per_level": self.per_level.to_dict("records"),
            "confusion": {
                str(true): {str(k): float(v) for k, v in row.items()}
                for true, row in self.confusion.to_dict("index").items()
            },
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row per image."""
        return self.results

    def __repr__(self) -> str:
        found = self.accuracy
        return (
            f"<Evaluation of {self.learner} on {self.images:,} images of {self.data}: accuracy "
            f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f}), balanced "
            f"{self.balanced:.3f}, majority {self.majority:.3f}>"
        )

    def _repr_html_(self) -> str:
        rows = [{str(k): v for k, v in row.items()} for row in self.per_class.to_dict("records")]
        return display.table(repr(self)[1:-1], rows)


#: images of a level below which it is not called the worst.
LEAST = 10
