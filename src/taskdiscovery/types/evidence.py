"""What was measured about each task, and what it amounts to.

Axes: D tasks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document, FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Evidence:
    """What was measured about tasks.

    Attributes:
        associations: one row per labeling (tasks, and the human label) and factor.
        probes: one row per task and probe; empty for tasks without an encoder.
        coverage: how well the coordinates tell the human label, or None.
        redundancy: `mean` and `max` adjusted mutual information over pairs of tasks; None for a
            single task.
        similarity, information: (D, D) similarity and adjusted mutual information of the tasks;
            None where they were read from a run, which keeps `redundancy` alone.
        verdicts: one line per task.
        words: words of a text model per task, where one was given.
        images: how many images were measured.
    """

    associations: pd.DataFrame
    probes: pd.DataFrame
    coverage: Document | None
    verdicts: dict[str, str]
    images: int
    redundancy: Document = field(default_factory=lambda: {"mean": None, "max": None})
    similarity: FloatArray | None = None
    information: FloatArray | None = None
    words: Document = field(default_factory=dict)

    @property
    def numbers(self) -> Document:
        """The headline numbers, as in `result.json`."""
        tasks = []
        for name, line in self.verdicts.items():
            own = self.associations
            top = own[own["task"] == name].head(3) if len(own) else own
            asked = self.probes[self.probes["task"] == name] if len(self.probes) else self.probes
            tasks.append(
                {
                    "name": name,
                    "verdict": line,
                    "associations": top.drop(columns="task", errors="ignore").to_dict("records"),
                    "probes": {r["probe"]: r["flips"] for r in asked.to_dict("records")},
                    **({"words": self.words[name]} if name in self.words else {}),
                }
            )
        label = self.associations
        if len(label):
            label = label[label["task"] == "label"].drop(columns="task").head(5)
        return {
            "images": self.images,
            "tasks": tasks,
            "label": label.to_dict("records"),
            "coverage": self.coverage,
            "adjusted_mutual_information": self.redundancy,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one row per task: `task`, `verdict`."""
        import pandas as pd

        return pd.DataFrame({"task": list(self.verdicts), "verdict": list(self.verdicts.values())})

    def __repr__(self) -> str:
        lines = [f"  {name}: {line}" for name, line in self.verdicts.items()]
        return "\n".join([f"<Evidence for {len(lines)} tasks, on {self.images:,} images>", *lines])

    def _repr_html_(self) -> str:
        rows = [{"task": name, "verdict": line} for name, line in self.verdicts.items()]
        return display.table(f"{len(rows)} tasks, on {self.images:,} images", rows)
