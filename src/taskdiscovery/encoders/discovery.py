"""What was discovered: tasks of a data set, and the encoder that labels any other image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from taskdiscovery.types import Document, Tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Discovery:
    """What was found.

    Attributes:
        tasks: labels and coordinates of every image, best task first.
        encoder: the tasks themselves; labels any other image.
        numbers: the headline numbers, as in `result.json`.
        config: every option of the job, as it was resolved, and `data`.
        fingerprint: of the data set that was searched.
    """

    tasks: Tasks
    encoder: Encoder | FeatureEncoder
    numbers: Document = field(repr=False)
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fingerprint: str = ""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the course of a power iteration: the held-out correlation, and how far the subspace
        turned, of each iteration. That of meta-gradients is in its run: `td.open_run(RUN).plot()`.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: for a search without iterations, or where matplotlib is not installed.
        """
        from taskdiscovery.plots import draw_course

        return draw_course(self.numbers.get("iterations", ()), ax)

    def __repr__(self) -> str:
        method, learner = self.numbers.get("method"), self.numbers.get("learner")
        return f"<Discovery by {method}, learner {learner}: {self.tasks!r}>"

    def _repr_html_(self) -> str:
        return self.tasks._repr_html_()
