"""What the report shows of each task: its surest and most doubtful images, its figures.

Axes: N images, C classes, P coordinates.
"""

from __future__ import annotations

import numpy as np

from taskdiscovery.encoders.labelling import class_scores
from taskdiscovery.reporting.evidence import EvidenceView
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.pictures import Sheet, class_margins, surest
from taskdiscovery.reporting.scoreview import ScoreView
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.types import Document, FloatArray, IntArray


class TaskView:
    """The cards of tasks.

    Args:
        material: what there is to show.
        scores: of the tasks.
        evidence: about them.
        unseen: rows that discovery has not seen.
        sprites: where the pictures of each card go, by task.
    """

    def __init__(
        self,
        material: Material,
        scores: ScoreView,
        evidence: EvidenceView,
        unseen: IntArray,
        sprites: dict[str, str],
    ) -> None:
        assert material.tasks is not None
        self.material, self.scores, self.evidence = material, scores, evidence
        self.tasks = material.tasks
        self.unseen, self.sprites = unseen, sprites

    def card(self, d: int) -> Document:
        """Return what the card of a task shows."""
        name = self.tasks.names[d]
        sheet = self._sheet(d, name)
        self.sprites[name] = sheet.sprite()
        score = self.scores.of(name)
        facts = self._facts(self.material.numbers["tasks"][d], score)
        name_of, value = facts[-1]
        headline = f"{name_of} {value}" if score is None else f"agreement {score['agreement']:.3f}"
        return {
            "name": name,
            "headline": headline,
            "agreement": None if score is None else float(score["agreement"]),
            "low": None if score is None else float(score["low"]),
            "high": None if score is None else float(score["high"]),
            "covers": "" if score is None else str(score["covers"]),
            "bar": None if score is None else self.scores.bar(score),
            "facts": facts,
            "verdict": self.evidence.verdict(name),
            "names": self.evidence.names(name),
            "evidence": self.evidence.of(name),
            "rows": sheet.rows,
            "height": sheet.height,
        }

    def _sheet(self, d: int, name: str) -> Sheet:
        dataset, unseen = self.material.dataset, self.unseen
        sheet = Sheet(images=thumbnails_of(dataset), ids=dataset.ids)
        margins_NC = self._margins(d)
        words = self.evidence.words_of(name)
        for c in range(margins_NC.shape[1]):
            rows = surest(margins_NC[:, c], unseen)
            like = ", ".join(words.get(self.tasks.class_names[d][c], ()))
            heading = f"surest of class {c} ({like})" if like else f"surest of class {c}"
            sheet.add(heading, rows[margins_NC[rows, c] > 0])
        doubt_N = -np.sort(margins_NC, axis=1)[:, -1]
        sheet.add("most ambiguous", surest(doubt_N, unseen))
        disagreement = self.scores.disagreement(name)
        if disagreement is not None:
            sheet.add("runs disagree", surest(disagreement, unseen[disagreement[unseen] > 0]))
        self.evidence.add_examples(sheet, d, name)
        return sheet

    def _facts(self, row: Document, score: Document | None) -> list[tuple[str, str]]:
        facts: list[tuple[str, str]] = []
        if score is not None:
            if score["kappa"] is not None and np.isfinite(score["kappa"]):
                facts.append(("κ", f"{score['kappa']:.2f}"))
            if np.isfinite(score["accuracy"]):
                facts.append(("accuracy", f"{score['accuracy']:.2f}"))
        facts.append(("rate", f"{row['rate']:.2f}"))
        if row.get("bimodality") is not None:  # the share of variance between its two sides
            facts.append(("two-valued", f"{row['bimodality']:.0%}"))
        if row.get("crossfit_correlation") is not None:
            facts.append(("held-out correlation", f"{row['crossfit_correlation']:.2f}"))
        return facts

    def _margins(self, d: int) -> FloatArray:
        """(N, C) how surely an image is of each class."""
        tasks = self.tasks
        assert tasks.coordinates_NP is not None
        classes = tasks.k[d]
        if classes == 2:
            x = tasks.coordinates_NP[:, d].astype(np.float64)
            return np.stack([-x, x], axis=1)
        return class_margins(class_scores(tasks.coordinates_NP, d, classes))
