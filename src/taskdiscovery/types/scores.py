"""Agreement of runs, with intervals.

Axes: n test images, K runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from taskdiscovery import notebook
from taskdiscovery.types.aliases import ImageArray, IntArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, kw_only=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: the estimate.
        low, high: ends of the interval, within [0, 1].
        covers: what the interval is over: "images and runs", or "images" where a single pair of
            runs leaves the part from runs unknown.
    """

    mean: float
    low: float
    high: float
    covers: str = "images and runs"

    def to_json(self) -> dict[str, float | str]:
        """Return `mean`, `low`, `high`, `covers`."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "covers": self.covers}


@dataclass(frozen=True, eq=False, kw_only=True)
class Score:
    """The agreement of K runs on one task, with all that is needed to read it.

    Attributes:
        task: its name.
        learner, preset, precision: how the runs were trained.
        runs: how many runs gave a finite result.
        agreement, low, high: agreement score and its 95 % interval, in [0, 1].
        covers: what the interval is over (see `Interval`).
        chance: agreement expected by chance from the class rates of the predictions.
        kappa: (agreement - chance) / (1 - chance); None where chance is 1.
        rate: share of class 1 among the test images for a binary task, else of the commonest
            class.
        accuracy: mean test accuracy against the task's own labels.
        per_image: (n,) mean agreement over pairs for each test image.
        test: (n,) indices of those images in the data set.
        failed: runs that diverged.
        seconds: time spent on training and predicting.
    """

    task: str
    learner: str
    preset: str
    precision: str
    runs: int
    agreement: float
    low: float
    high: float
    covers: str
    chance: float
    kappa: float | None
    rate: float
    accuracy: float
    per_image: NDArray[np.float32] = field(repr=False)
    test: IntArray = field(repr=False)
    failed: int = 0
    seconds: float = 0.0
    images: ImageArray | None = field(default=None, repr=False)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row, as in `scores.parquet`."""
        import pandas as pd

        return pd.DataFrame([self.to_row()])

    def _repr_html_(self) -> str:
        return Scores([self])._repr_html_()

    def to_row(self) -> dict[str, object]:
        """Return the row of `scores.parquet`: everything but the per-image values and the time."""
        return {
            "task": self.task,
            "learner": self.learner,
            "preset": self.preset,
            "precision": self.precision,
            "runs": self.runs,
            "agreement": self.agreement,
            "low": self.low,
            "high": self.high,
            "covers": self.covers,
            "chance": self.chance,
            "kappa": self.kappa,
            "rate": self.rate,
            "accuracy": self.accuracy,
            "failed": self.failed,
        }


class Scores(list[Score]):
    """A list of scores that a notebook shows as a table."""

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per score, as in `scores.parquet`."""
        import pandas as pd

        return pd.DataFrame([score.to_row() for score in self])

    def _repr_html_(self) -> str:
        rows: list[dict[str, Any]] = []
        for score in self:
            row: dict[str, Any] = {
                "task": score.task,
                "agreement": score.agreement,
                "interval": f"{score.low:.3f} to {score.high:.3f}",
                "kappa": score.kappa,
                "rate": score.rate,
                "accuracy": score.accuracy,
            }
            if score.images is not None:
                order = np.argsort(score.per_image, kind="stable")
                doubtful = score.test[order[score.per_image[order] < 1.0]][: notebook.SHOWN]
                row["runs disagree"] = notebook.Pictures(score.images[doubtful])
            rows.append(row)
        caption = "agreement of independent runs on images that none has seen"
        if self:
            first = self[0]
            caption += f"; {first.learner}, preset {first.preset}, {first.runs} runs"
        return notebook.table(caption, rows)
