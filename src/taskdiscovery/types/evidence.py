"""What was measured about each task, and what it amounts to.

Axes: D tasks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.types import display
from taskdiscovery.types.aliases import Document, FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Name:
    """A word that tells one side of a task from the others, to a model that knows the word.

    Attributes:
        task: the task.
        side: the class of the task.
        word: of the model's vocabulary.
        auc, low, high: the chance that an image of this side fits the word better than one of the
            others, with a 95 % interval, on images that the word was not chosen on.
        train: the same on those that it was chosen on.
        images: how many it was measured on.
    """

    task: str
    side: str
    word: str
    auc: float
    low: float
    high: float
    train: float
    images: int

    @classmethod
    def from_json(cls, task: str, row: Document) -> Name:
        """Read a name as a run keeps it.

        Raises:
            KeyError, TypeError, ValueError: where a value is missing, or none of its kind.
        """
        figures = {key: float(row[key]) for key in ("auc", "low", "high", "train")}
        side, word, images = str(row["side"]), str(row["word"]), int(row["images"])
        return cls(task=task, side=side, word=word, images=images, **figures)


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Evidence:
    """What was measured about tasks.

    Attributes:
        associations: rows per labeling (tasks, and the human label), side and property: `effect` is
            |2 AUC - 1|, for numbers and levels alike.
        probes: one row per task and probe, with what noise of equal strength flips; empty for tasks
            without an encoder.
        coverage: how well the coordinates tell the human label, or None.
        redundancy: `mean` and `max` adjusted mutual information over pairs of tasks; None for a
            single task.
        similarity, information: (D, D) similarity and adjusted mutual information of the tasks;
            None where they were read from a run, which keeps `redundancy` alone.
        verdicts: one line per task.
        joint: of each labeling, how well properties together predict it on images that the model
            was not fitted on: `inputs` (`statistics`, `attributes`, `label`, `everything`), `auc`,
            `low`, `high`, `images`, `fitted`, `held_out`.
        notes: what makes the intervals rough, one line each.
        words: words of a text model per task, where one was given.
        namer: what was asked for names ("an ImageNet model"); empty where nothing was.
        names: those that were found, of any task; the best of each side first.
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
    namer: str = ""
    names: tuple[Name, ...] = ()
    joint: dict[str, list[Document]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def names_of(self, task: str) -> dict[str, list[Name]]:
        """Return the names of a task, by side; a side without one is left out."""
        found: dict[str, list[Name]] = {}
        for name in self.names:
            if name.task == task:
                found.setdefault(name.side, []).append(name)
        return found

    def named(self, task: str) -> str:
        """Say what the sides of a task look like; empty where no names were asked for."""
        if not self.namer:
            return ""
        sides = [
            f"{' or '.join(f'{name.word} ({name.auc:.2f})' for name in own)} in class {side}"
            for side, own in self.names_of(task).items()
        ]
        return f"looks, to {self.namer}, like {'; '.join(sides)}" if sides else "no name"

    @property
    def numbers(self) -> Document:
        """The headline numbers, as in `result.json`."""
        tasks = []
        for name, line in self.verdicts.items():
            asked = self.probes[self.probes["task"] == name] if len(self.probes) else self.probes
            tasks.append(
                {
                    "name": name,
                    "verdict": line,
                    **self._properties_of(name),
                    "probes": {r["probe"]: r["flips"] for r in asked.to_dict("records")},
                    **({"words": self.words[name]} if name in self.words else {}),
                    **({"names": self._rows_of(name)} if self.namer else {}),
                }
            )
        return {
            "images": self.images,
            "tasks": tasks,
            "label": self._properties_of("label"),
            "coverage": self.coverage,
            "adjusted_mutual_information": self.redundancy,
            **({"notes": list(self.notes)} if self.notes else {}),
            **({"namer": self.namer} if self.namer else {}),
        }

    def _properties_of(self, labeling: str) -> Document:
        """Return the strongest of either list, and the joint models."""
        own = self.associations
        measured, named = own, own
        if len(own):
            own = own[own["task"] == labeling].drop(columns="task")
            measured, named = (own[own["source"].eq("statistic").eq(x)] for x in (True, False))
        return {
            "attributes": _records(named.head(3)),
            "statistics": _records(measured.head(3)),
            "joint": self.joint.get(labeling, []),
        }

    def _rows_of(self, task: str) -> list[Document]:
        rows = (asdict(name) for name in self.names if name.task == task)
        return [{key: value for key, value in row.items() if key != "task"} for row in rows]

    def rows(self) -> list[Document]:
        """Return a row for each task: `task`, `verdict`, and `names` where they were asked for."""
        return [
            {"task": task, "verdict": line, **({"names": self.named(task)} if self.namer else {})}
            for task, line in self.verdicts.items()
        ]

    def to_frame(self) -> pd.DataFrame:
        """Return one row per task: `task`, `verdict`, and `names` where they were asked for."""
        import pandas as pd

        columns = ["task", "verdict", *(["names"] if self.namer else [])]
        return pd.DataFrame(self.rows(), columns=columns)

    def plot(self, ax: Axes | None = None, *, task: str = "", columns: int = 12) -> Axes:
        """Draw how strongly tasks go with properties: the effect sizes of all tasks as a matrix, or
        those of one task with intervals.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.
            task: the one to draw; by default all, the human label among them.
            columns: properties at most, the strongest.

        Returns:
            The axes.

        Raises:
            ConfigError: for a task that was not measured, where nothing was measured of any, or
                matplotlib is not installed.
        """
        from taskdiscovery.plots import Row, draw_matrix, draw_ranges

        table = self._effects()
        known = list(dict.fromkeys(table["task"]))
        if task and task not in known:
            raise ConfigError(f"no evidence for {task!r}", where="plot", hint=nearest(task, known))
        if not task:
            wide = table.pivot_table(index="task", columns="property", values="effect")
            own = wide.drop(index="label", errors="ignore")
            strongest = (own if len(own) else wide).max().nlargest(columns).index
            wide = wide.reindex(known)[strongest]
            label, names = "effect size |2 AUC − 1|", [str(name) for name in wide.columns]
            numbers = wide.to_numpy()
            return draw_matrix(numbers, known, names, label=label, limits=(0.0, 1.0), ax=ax)
        own = table[table["task"] == task].nlargest(columns, "effect")
        rows = [
            Row(name=str(r["property"]), mean=r["effect"], low=r["low"], high=r["high"])
            for r in own.to_dict("records")
        ]
        title = f"{task}: {self.verdicts.get(task, '')}".rstrip(": ")
        label = "effect size |2 AUC − 1|"
        return draw_ranges(rows, label=label, title=title, limits=(0.0, 1.02), ax=ax)

    def _effects(self) -> pd.DataFrame:
        """Return the associations of each labeling and property, of the side where it is strongest.

        Raises:
            ConfigError: where there are none.
        """
        if not len(self.associations):
            raise ConfigError("no property was measured", where="plot", hint="analyze the tasks")
        table = self.associations.dropna(subset=["effect"])
        level = table["level"].fillna("").astype(str)
        named = table["factor"].astype(str) + (" = " + level).where(level != "", "")
        table = table.assign(property=named).sort_values("effect", ascending=False, kind="stable")
        return table.drop_duplicates(["task", "property"]).sort_index()

    def __repr__(self) -> str:
        lines = ["  {}: {}".format(row.pop("task"), "; ".join(row.values())) for row in self.rows()]
        return "\n".join([f"<Evidence for {len(lines)} tasks, on {self.images:,} images>", *lines])

    def _repr_html_(self) -> str:
        rows = self.rows()
        return display.table(f"{len(rows)} tasks, on {self.images:,} images", rows)


def _records(table: pd.DataFrame) -> list[Document]:
    """Return rows as JSON takes them: None for what has no value."""
    return [
        {str(k): (None if v != v else v) for k, v in row.items()}
        for row in table.to_dict("records")
    ]
