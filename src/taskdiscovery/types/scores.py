"""Agreement of runs, with intervals.

Axes: n test images, K runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

import numpy as np

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document, Float32, IdArray, ImageArray, IntArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: what random labels are called, which stand beside whatever is scored.
RANDOM = "random"


@dataclass(frozen=True, eq=False, kw_only=True)
class Interval:
    """A mean with its 95 % interval.

    Attributes:
        mean: the estimate.
        low, high: ends of the interval, within [0, 1].
        covers: what the interval is over: "images and runs", or "images" where a single pair of
            runs leaves the part from runs unknown; "groups" in place of images where these are
            known.
    """

    mean: float
    low: float
    high: float
    covers: str = "images and runs"

    def to_json(self) -> dict[str, float | str]:
        """Return `mean`, `low`, `high`, `covers`."""
        return {"mean": self.mean, "low": self.low, "high": self.high, "covers": self.covers}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
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
            class; among all images with a class where no test image has one.
        accuracy: mean test accuracy against the task's own labels; NaN where test images have none.
        agreement_n: (n,) mean agreement over pairs for each test image.
        rows_n: (n,) positions of those images in the data set.
        ids_n: (n,) their ids.
        accuracies: (K,) test accuracy of each run.
        failed: runs that diverged.
        seconds: time spent on training and predicting.
        images: (N, H, W, channels) uint8 of the data set, to show them in a notebook; or None.
        name: that it goes by in its run, with others of the same job; empty where it has none.
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
    agreement_n: Float32 = field(repr=False)
    rows_n: IntArray = field(repr=False)
    ids_n: IdArray = field(repr=False)
    accuracies: tuple[float, ...] = ()
    failed: int = 0
    seconds: float = 0.0
    images: ImageArray | None = field(default=None, repr=False)
    name: str = ""

    @property
    def per_image(self) -> pd.Series:
        """The mean agreement over pairs of runs on each test image, by image id."""
        import pandas as pd

        return pd.Series(self.agreement_n, index=pd.Index(self.ids_n, dtype=str), name=self.task)

    def to_frame(self) -> pd.DataFrame:
        """Return one row, as in `scores.parquet`."""
        return Scores([self]).to_frame()

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how the images fare, from those on which no pair of runs agrees to those on which
        all do: a histogram of `per_image`.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: where matplotlib is not installed.
        """
        from taskdiscovery.plots import draw_shares

        title = f"{self.task}: agreement {self.agreement:.3f} of {self.runs} runs of {self.learner}"
        label = "pairs of runs that agree on an image"
        return draw_shares(self.agreement_n, label=label, title=title, ax=ax)

    def __repr__(self) -> str:
        interval = f"{self.low:.3f} to {self.high:.3f}"
        trained = f"{self.runs} runs of {self.learner}, preset {self.preset}"
        return f"<Score of {self.task}: agreement {self.agreement:.3f} ({interval}), {trained}>"

    def _repr_html_(self) -> str:
        return Scores([self])._repr_html_()

    def to_row(self) -> Document:
        """Return the row of `scores.parquet`: everything but the per-image values and the time."""
        row: Document = {name: getattr(self, name) for name in COLUMNS}
        return {**row, "accuracies": tuple(map(float, self.accuracies))}  # a list, from JSON


#: the columns of `scores.parquet`.
COLUMNS = (
    *("task", "learner", "preset", "precision", "runs", "agreement", "low", "high", "covers"),
    *("chance", "kappa", "rate", "accuracy", "accuracies", "failed", "name"),
)


class Scores(Sequence[Score]):
    """Scores of labelings, by position or by the name of the task: `scores["task_003"]`.

    Args:
        scores: in any number.
    """

    def __init__(self, scores: Iterable[Score] = ()) -> None:
        self._scores = tuple(scores)

    def __len__(self) -> int:
        return len(self._scores)

    def __contains__(self, value: object) -> bool:
        """Say whether a task of this name was scored, or whether this very score is there."""
        return value in self._scores or any(score.task == value for score in self._scores)

    def __add__(self, other: Iterable[Score]) -> Scores:
        return Scores([*self._scores, *other])

    def __repr__(self) -> str:
        lines = [f"  {s.task}: {s.agreement:.3f} ({s.low:.3f} to {s.high:.3f})" for s in self]
        return "\n".join([f"<{len(self)} Scores: agreement, with 95 % interval>", *lines])

    @overload
    def __getitem__(self, which: int | str) -> Score: ...
    @overload
    def __getitem__(self, which: slice) -> Scores: ...

    def __getitem__(self, which: int | str | slice) -> Score | Scores:
        """Return a score by position or by the name of its task, or some of the scores.

        Raises:
            ConfigError: for a name that was not scored.
        """
        if isinstance(which, slice):
            return Scores(self._scores[which])
        if not isinstance(which, str):
            return self._scores[which]
        for score in self._scores:
            if score.task == which:
                return score
        raise ConfigError(
            f"{which!r} was not scored", where="scores", hint=nearest(which, (s.task for s in self))
        )

    @property
    def scored(self) -> tuple[str, ...]:
        """The labelings that were scored, without the random labels beside them."""
        return tuple(dict.fromkeys(score.task for score in self if score.task != RANDOM))

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the scores go by in a run, oldest first; each job has one for all."""
        return tuple(dict.fromkeys(score.name for score in self))

    def named(self, name: str) -> Scores:
        """Return the scores of one job, by their name in the run.

        Raises:
            ConfigError: where there are none.
        """
        found = Scores(score for score in self if score.name == name)
        if not found:
            raise ConfigError(
                f"there are no scores {name!r}", where="scores", hint=nearest(name, self.names)
            )
        return found

    def to_frame(self) -> pd.DataFrame:
        """Return one row per score, as in `scores.parquet`."""
        import pandas as pd

        return pd.DataFrame([score.to_row() for score in self], columns=list(COLUMNS))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the agreement of every labeling with its interval: discovered tasks orange, human
        labelings blue, random labels grey.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: where matplotlib is not installed.
        """
        from taskdiscovery.plots import Row, draw_ranges

        rows = [
            Row(
                name=score.task,
                mean=score.agreement,
                low=score.low,
                high=score.high,
                kind=_kind(score.task),
            )
            for score in self
        ]
        title = "" if not self else f"{self[0].learner}, {self[0].runs} runs, {self[0].preset}"
        label = "agreement of independent runs on images that none has seen"
        return draw_ranges(rows, label=label, title=title, ax=ax)

    def _repr_html_(self) -> str:
        rows: list[Document] = []
        for score in self:
            row: Document = {
                "task": score.task,
                "agreement": score.agreement,
                "interval": f"{score.low:.3f} to {score.high:.3f}",
                "kappa": score.kappa,
                "rate": score.rate,
                "accuracy": score.accuracy,
            }
            if score.images is not None:
                order = np.argsort(score.agreement_n, kind="stable")
                doubtful = score.rows_n[order[score.agreement_n[order] < 1.0]][: display.SHOWN]
                row["runs disagree"] = display.Pictures(score.images[doubtful])
            rows.append(row)
        caption = "agreement of independent runs on images that none has seen"
        if self:
            first = self[0]
            caption += f"; {first.learner}, preset {first.preset}, {first.runs} runs"
        return display.table(caption, rows)


def _kind(task: str) -> str:
    """Say what a labeling is, by its name, as figures colour it."""
    if task == RANDOM:
        return "random"
    return "" if task.startswith("task_") else "human"
