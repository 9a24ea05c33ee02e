"""Everything that the template names, gathered from the material.

Axes: N images, D tasks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.reporting import figures, provenance, splitview
from taskdiscovery.reporting.evidence import EvidenceView
from taskdiscovery.reporting.finding import finding
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.scoreview import ScoreView, tile
from taskdiscovery.reporting.taskview import TaskView
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.splits.accuracies import breaks
from taskdiscovery.types import Document, IntArray, Split


class Page:
    """What the template shows.

    Args:
        material: what there is to show.
    """

    def __init__(self, material: Material) -> None:
        self.material, self.dataset, self.tasks = material, material.dataset, material.tasks
        self.learner = self._learner()
        seen_N = None if self.tasks is None else self.tasks.seen_N
        everywhere: IntArray = np.arange(len(self.dataset))
        self.unseen = everywhere if seen_N is None else np.flatnonzero(~seen_N)
        names = material.scores.scored if self.tasks is None else self.tasks.names
        self.scores = ScoreView(
            material.scores, names, self.learner, len(self.dataset), material.rows
        )
        self.evidence = EvidenceView(material, self.unseen)
        self.sprites: dict[str, str] = {}

    def context(self) -> Document:
        """Return everything the template names."""
        tasks: list[Document] = []
        if self.tasks is not None:
            cards = TaskView(self.material, self.scores, self.evidence, self.unseen, self.sprites)
            tasks = [cards.card(d) for d in range(len(self.tasks))]
        versions = self.material.environment.get("versions", {})
        return {
            "version": versions.get("taskdiscovery", ""),
            "title": self._title(),
            "finding": finding(self.scores, self.material.splits, discovered=bool(tasks)),
            "lead": self._lead() if self.tasks is not None else "",
            "rows": self.material.rows,
            "tiles": self._tiles(),
            "telling": _first(tasks),
            "agreement": self.scores.figure(),
            "score_sets": self.scores.by_name(),
            "splits": self._splits(),
            "tasks": tasks,
            "label": self.evidence.label(),
            "coverage": self.evidence.coverage(),
            "architectures": None if self.tasks is None else self.scores.architectures(),
            "similarity": self._similarity(),
            "commands": provenance.commands(self.material),
            "provenance": provenance.facts(self.material, len(self.unseen)),
            "sprites": {name: uri for name, uri in self.sprites.items() if uri},
            "pictures": thumbnails_of(self.dataset) is not None,
        }

    def _learner(self) -> str:
        """Return the learner of the search, or else of what was scored or split."""
        material = self.material
        if self.tasks is not None:
            return str(material.numbers["learner"])
        if material.splits:
            return list(material.splits.values())[-1].setup.learner
        return material.scores[-1].learner

    def _title(self) -> str:
        name = data_name(self.dataset.name)
        if self.tasks is not None:
            return f"What {self.learner} finds easy in {name}"
        if self.material.splits:
            count = len(self.material.splits)
            return f"{'A split' if count == 1 else f'{count} splits'} of {name} for {self.learner}"
        return f"On what {self.learner} agrees with itself in {name}"

    def _lead(self) -> str:
        assert self.tasks is not None
        n, method, things = len(self.tasks), self.material.numbers["method"], self.material.rows
        config = self.material.config
        guided = config.get("within") or config.get("exclude")
        blind = "" if guided else " without looking at any label"
        parts = self._parts()
        return (
            f"{n} labelings of {len(self.dataset):,} {things} were found by method {method}"
            f"{blind}. Each cuts the {things} in {parts}."
        )

    def _parts(self) -> str:
        """Say how large the classes are: methods on pixels balance them, others do not."""
        assert self.tasks is not None
        k = max(self.tasks.k)
        rates = [float(task["rate"]) for task in self.material.numbers["tasks"]]
        equal = all(abs(rate - 1 / k) < 0.1 for rate in rates)
        if k == 2:
            return "two halves" if equal else "two groups"
        return f"{k} equal parts" if equal else f"{k} groups"

    def _tiles(self) -> list[Document]:
        tiles = self.scores.tiles()
        found = self.material.numbers.get("tasks", [])
        correlations = [task.get("crossfit_correlation") for task in found]
        if not tiles and found and all(c is not None for c in correlations):
            note = "mean held-out correlation; not scored yet"
            tiles.append(tile("Discovered tasks", f"{np.mean(correlations):.3f}", note))
        if self.material.splits:
            # The one that breaks the learner most, beside what a random split of its size gives.
            split = max(self.material.splits.values(), key=_drop)
            accuracy = split.accuracy
            note = f"accuracy on {split.target.name}; a random split gives "
            note += f"{accuracy['random'].mean:.2f}"
            value = f"{accuracy['adversarial'].mean:.2f}"
            kind = "bad" if breaks(split).holds else ""
            tiles.append(tile("Adversarial split", value, note, kind))
        return tiles

    def _splits(self) -> list[Document]:
        """Return the sections of the splits, each with its own sheet of pictures."""
        shown = []
        for number, (name, split) in enumerate(self.material.splits.items()):
            made = splitview.view(split, self.dataset)
            made["name"] = f"split-{number}"
            self.sprites[made["name"]] = made.pop("sprite")
            shown.append({**made, "called": name})
        return shown

    def _similarity(self) -> Document | None:
        if self.tasks is None or len(self.tasks) < 2:
            return None
        k = max(self.tasks.k)
        matrix_DD = similarity_matrix(self.tasks.labels_ND[self.unseen], k)
        pairs = matrix_DD[np.triu_indices(len(self.tasks), 1)]
        text = (
            f"Similarity is the share of {self.material.rows} labelled alike under the best "
            f"renaming of classes; unrelated tasks have {1 / k:.2f}. Here it is "
            f"{pairs.mean():.3f} on average and {pairs.max():.3f} at most."
        )
        label = "Similarity of each pair of tasks"
        return {"text": text, "figure": figures.heatmap(matrix_DD, self.tasks.names, label)}


def data_name(name: str) -> str:
    """Return what data is called in a heading: the last two parts of its path."""
    kind, _, path = name.partition(":")
    parts = [part for part in Path(path).parts if part not in ("/", "..", ".")]
    return "/".join(parts[-2:]) or kind


def _drop(split: Split) -> float:
    return split.accuracy["random"].mean - split.accuracy["adversarial"].mean


def _first(tasks: list[Document]) -> Document | None:
    """Return the tasks that are shown above all others, and by what they were chosen."""
    if not tasks:
        return None
    scored = [task for task in tasks if task["agreement"] is not None]
    if scored:
        first = sorted(scored, key=lambda task: -task["agreement"])[:3]
        words = "on which runs agree most"
    else:
        first, words = tasks[:3], "that were found first"
    count = {1: "The task", 2: "The two tasks", 3: "The three tasks"}[len(first)]
    return {"heading": f"{count} {words}", "tasks": first}
