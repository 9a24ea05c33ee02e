"""What the report shows of scores: tiles, intervals beside the references, other architectures."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd

from taskdiscovery.reporting import figures
from taskdiscovery.types import Document, FloatArray, Scores
from taskdiscovery.types.scores import RANDOM


class ScoreView:
    """The scores of one learner and preset: the search's own learner, the latest preset.

    Args:
        scores: all there are.
        names: of the discovered tasks.
        learner: of the search.
        images: how many images the data has.
        rows: what they are called: rows, where features stand alone.
    """

    def __init__(
        self,
        scores: Scores,
        names: tuple[str, ...],
        learner: str,
        images: int,
        rows: str = "images",
    ) -> None:
        self.scores, self.names, self.learner, self.images = scores, names, learner, images
        self.rows = rows
        self.everything = scores.to_frame()

    @cached_property
    def table(self) -> pd.DataFrame | None:
        """The rows that are shown; None where no task was scored."""
        table = self.everything
        if table.empty:
            return None
        table = table[table["task"].isin(self.names).groupby(table["preset"]).transform("any")]
        if table.empty:
            return None
        own = table[table["learner"] == self.learner]
        table = own if len(own) else table
        last = table.iloc[-1]
        keys = ["learner", "preset", "precision", "runs"]
        table = table[(table[keys] == last[keys]).all(axis=1)]
        return table.drop_duplicates("task", keep="last")

    @cached_property
    def others(self) -> list[tuple[str, Document]]:
        """Names and scores of human labelings (first) and of random labels."""
        if self.table is None:
            return []
        others = self.table[~self.table["task"].isin(self.names)]
        rows = [{str(k): v for k, v in row.items()} for row in others.to_dict("records")]
        rows.sort(key=lambda row: row["task"] == RANDOM)
        return [(_reference(str(row["task"])), row) for row in rows]

    @property
    def references(self) -> dict[str, float]:
        """Names and agreement of human labelings (first) and of random labels."""
        return {name: float(row["agreement"]) for name, row in self.others}

    def of(self, name: str) -> Document | None:
        """Return the row of a task, or None."""
        if self.table is None:
            return None
        rows = self.table[self.table["task"] == name]
        return None if rows.empty else {str(k): v for k, v in rows.iloc[-1].items()}

    def disagreement(self, name: str) -> FloatArray | None:
        """Return (N,) how far the runs on a task disagree on each image; None where not known."""
        row = self.of(name)
        own = [s for s in self.scores if s.task == name and len(s.rows_n)]
        alike = [s for s in own if row is not None and s.name == row["name"]]
        own = alike or own
        if not own:
            return None
        found = np.zeros(self.images)
        found[own[-1].rows_n] = 1 - own[-1].agreement_n
        return found

    def figure(self) -> Document | None:
        """Return the figure of all tasks beside the references, with a note."""
        if self.table is None:
            return None
        scored = [(name, self.of(name)) for name in self.names]
        rows: list[Document] = [
            {"name": name, "mean": s["agreement"], "low": s["low"], "high": s["high"]}
            for name, s in scored
            if s is not None
        ]
        if not rows:
            return None
        first = self.table.iloc[0]
        note = (
            f"Learner {first['learner']}, preset {first['preset']}, {int(first['runs'])} runs a "
            f"task; intervals over {first['covers']}."
        )
        least = min([r["low"] for r in rows] + list(self.references.values()))
        return {
            "note": note,
            "figure": figures.intervals(
                rows,
                low=max(0.0, min(0.5, float(np.floor(least * 10) / 10))),
                references=self.references,
                label="Agreement of each task with its interval, beside the references",
            ),
        }

    def bar(self, score: Document) -> Document:
        """Return where a task's interval and the references lie on a bar from 0.5 to 1."""

        def percent(value: float) -> float:
            return round(100 * min(max(2 * value - 1, 0.0), 1.0), 1)

        return {
            "low": percent(score["low"]),
            "width": round(percent(score["high"]) - percent(score["low"]), 1),
            "marks": [percent(v) for v in self.references.values()],
        }

    def tiles(self) -> list[Document]:
        """Return the tiles of discovered, human and random labels; none where nothing is scored."""
        scored = [s for s in map(self.of, self.names) if s is not None]
        if not scored:
            return []
        values = [float(s["agreement"]) for s in scored]
        note = f"mean agreement of {len(values)}; from {min(values):.3f} to {max(values):.3f}"
        tiles = [tile("Discovered tasks", f"{np.mean(values):.3f}", note)]
        for name, row in self.others:
            random = row["task"] == RANDOM
            note = memory_note(row) if random else f"human labeling: {name}"
            title, kind = ("Random labels", "random") if random else ("Human labels", "human")
            tiles.append(tile(title, f"{float(row['agreement']):.3f}", note, kind))
        return tiles

    def by_name(self) -> list[Document]:
        """Return what was scored under each name; none where there is one name alone."""
        if len(self.scores.names) < 2:
            return []
        return [_summed(name, self.scores.named(name)) for name in self.scores.names]

    def architectures(self) -> Document | None:
        """Tasks found for one learner, scored with others: mean agreement of each."""
        table = self.everything
        learners = list(dict.fromkeys(table["learner"]))
        if len(learners) < 2:
            return None
        human = [t for t in table["task"].unique() if t not in (*self.names, RANDOM)]
        rows = []
        for learner in learners:
            own = table[table["learner"] == learner]
            row = [str(learner)]
            for group in (list(self.names), human, [RANDOM]):
                values = own.loc[own["task"].isin(group), "agreement"]
                row.append(f"{values.mean():.3f} ({len(values)})" if len(values) else "")
            rows.append(row)
        return {"found_for": self.learner, "rows": rows}


def tile(name: str, value: str, note: str, kind: str = "") -> Document:
    """Return what a tile shows."""
    return {"name": name, "value": value, "note": note, "kind": kind}


def memory_note(row: Document) -> str:
    """Say what the agreement on random labels is due to: nothing can be learnt there but by heart.

    Args:
        row: of their score. Where class rates differ, runs that name the commoner class agree
            without having learnt anything: κ takes that out.
    """
    kappa = row["kappa"]
    if kappa is None or np.isnan(kappa):
        return "every run names one class alone"
    if row["low"] <= row["chance"]:
        return f"not clearly above the {row['chance']:.2f} that class rates give (κ {kappa:.2f})"
    return f"agreement by memory alone (κ {kappa:.2f})"


def _reference(task: str) -> str:
    if task == RANDOM:
        return "random labels"
    return f"classes {task.removeprefix('label:')}" if task.startswith("label:") else task


def _summed(name: str, scores: Scores) -> Document:
    first = scores[0]
    own = [s.agreement for s in scores if s.task != RANDOM]
    random = [s.agreement for s in scores if s.task == RANDOM]
    return {
        "name": name,
        "learner": f"{first.learner}, preset {first.preset}, {first.runs} runs",
        "labelings": len(own),
        "agreement": f"{np.mean(own):.3f}" if own else "",
        "random": f"{random[0]:.3f}" if random else "",
        "covers": first.covers,
    }
