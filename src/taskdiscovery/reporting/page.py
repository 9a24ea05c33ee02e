"""Everything that the template names, gathered from the material.

Axes: N images, D tasks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.reporting import figures, provenance, splitview
from taskdiscovery.reporting.evidence import EvidenceView
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.scoreview import ScoreView, tile
from taskdiscovery.reporting.taskview import TaskView
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.splits.accuracies import breaks
from taskdiscovery.types import Document, IntArray


class Page:
    """What the template shows.

    Args:
        material: what there is to show.
    """

    def __init__(self, material: Material) -> None:
        self.material, self.dataset, self.tasks = material, material.dataset, material.tasks
        self.learner = str(material.numbers["learner"])
        seen_N = self.tasks.seen_N
        everywhere: IntArray = np.arange(len(self.dataset))
        self.unseen = everywhere if seen_N is None else np.flatnonzero(~seen_N)
        self.scores = ScoreView(material.scores, self.tasks.names, self.learner, len(self.dataset))
        self.evidence = EvidenceView(material, self.unseen)
        self.sprites: dict[str, str] = {}

    def context(self) -> Document:
        """Return everything the template names."""
        cards = TaskView(self.material, self.scores, self.evidence, self.unseen, self.sprites)
        tasks = [cards.card(d) for d in range(len(self.tasks))]
        ranked = sorted(tasks, key=lambda t: -(t["agreement"] or 0))
        versions = self.material.environment.get("versions", {})
        return {
            "version": versions.get("taskdiscovery", ""),
            "title": f"What {self.learner} finds easy in {self._data_name()}",
            "lead": self._lead(),
            "tiles": self._tiles(),
            "telling": ranked[:3],
            "agreement": self.scores.figure(),
            "split": self._split(),
            "tasks": tasks,
            "label": self.evidence.label(),
            "coverage": self.evidence.coverage(),
            "architectures": self.scores.architectures(),
            "similarity": self._similarity(),
            "commands": provenance.commands(self.material, self.scores),
            "provenance": provenance.facts(self.material, len(self.unseen)),
            "sprites": {name: uri for name, uri in self.sprites.items() if uri},
            "pictures": thumbnails_of(self.dataset) is not None,
        }

    def _data_name(self) -> str:
        kind, _, path = str(self.dataset.name).partition(":")
        parts = [part for part in Path(path).parts if part not in ("/", "..", ".")]
        return "/".join(parts[-2:]) or kind

    def _lead(self) -> str:
        n, method = len(self.tasks), self.material.numbers["method"]
        config = self.material.config
        guided = config.get("within") or config.get("exclude")
        blind = "" if guided else " without looking at any label"
        parts = self._parts()
        text = (
            f"{n} labelings of {len(self.dataset):,} images were found by method {method}{blind}. "
            f"Each cuts the images in {parts}."
        )
        references = self.scores.references
        if references:
            beside = " and ".join(f"{value:.2f} for {name}" for name, value in references.items())
            text += (
                f" Two learners trained on such a labeling agree on {self.scores.mean:.0%} of the "
                f"images they have not seen; compare {beside}."
            )
        return text

    def _parts(self) -> str:
        """Say how large the classes are: methods on pixels balance them, others do not."""
        k = max(self.tasks.k)
        rates = [float(task["rate"]) for task in self.material.numbers["tasks"]]
        equal = all(abs(rate - 1 / k) < 0.1 for rate in rates)
        if k == 2:
            return "two halves" if equal else "two groups"
        return f"{k} equal parts" if equal else f"{k} groups"

    def _tiles(self) -> list[Document]:
        tiles = self.scores.tiles()
        correlations = [t.get("crossfit_correlation") for t in self.material.numbers["tasks"]]
        if not tiles and all(c is not None for c in correlations):
            note = "mean held-out correlation; not scored yet"
            tiles.append(tile("Discovered tasks", f"{np.mean(correlations):.3f}", note))
        split = self.material.split
        if split is not None:
            accuracy = split.accuracy
            note = f"accuracy on {split.target.name}; a random split gives "
            note += f"{accuracy['random'].mean:.2f}"
            value = f"{accuracy['adversarial'].mean:.2f}"
            kind = "bad" if breaks(split).holds else ""
            tiles.append(tile("Adversarial split", value, note, kind))
        return tiles

    def _split(self) -> Document | None:
        if self.material.split is None:
            return None
        made = splitview.view(self.material.split, self.dataset)
        self.sprites["split"] = made.pop("sprite")
        return made

    def _similarity(self) -> Document | None:
        if len(self.tasks) < 2:
            return None
        k = max(self.tasks.k)
        matrix_DD = similarity_matrix(self.tasks.labels_ND[self.unseen], k)
        pairs = matrix_DD[np.triu_indices(len(self.tasks), 1)]
        text = (
            "Similarity is the share of images labelled alike under the best renaming of classes; "
            f"unrelated tasks have {1 / k:.2f}. Here it is {pairs.mean():.3f} on average and "
            f"{pairs.max():.3f} at most."
        )
        label = "Similarity of each pair of tasks"
        return {"text": text, "figure": figures.heatmap(matrix_DD, self.tasks.names, label)}
