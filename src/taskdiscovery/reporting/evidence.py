"""What the report shows of `analyze`: verdicts, associations, probes, and images that flipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from taskdiscovery.analysis.probes import PROBES
from taskdiscovery.analysis.verdict import FLIPS, WORDS
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.pictures import Sheet
from taskdiscovery.types import Document, IntArray

ASKED = 240  # unseen images that are transformed to find examples
EXAMPLES = 12
SHOWN = 6  # associations of each task


class EvidenceView:
    """The evidence about tasks, where there is some.

    Args:
        material: what there is to show.
        unseen: rows that discovery has not seen.
    """

    def __init__(self, material: Material, unseen: IntArray) -> None:
        self.found, self.dataset = material.evidence, material.dataset
        self.encoder = None if self.found is None else material.encoder
        self.rows = unseen[:ASKED]
        self.associations = self.probes = pd.DataFrame()
        if self.found is not None:
            self.associations, self.probes = self.found.associations, self.found.probes
        self._labels: dict[str, IntArray] = {}

    def verdict(self, name: str) -> str:
        """Return the verdict of a task, or nothing."""
        return "" if self.found is None else self.found.verdicts.get(name, "")

    def of(self, name: str) -> Document | None:
        """Return the tables of a task: associations, probes, words, names."""
        if self.found is None:
            return None
        return {
            "associations": self._associations(name),
            "probes": self._probes(name),
            "words": self.found.words.get(name),
            "names": self._names(name),
        }

    def names(self, task: str) -> Document | None:
        """Return what the sides of a task look like, and to whom; None where nobody was asked."""
        if self.found is None or not self.found.namer:
            return None
        sides = [{"side": side, "words": own} for side, own in self.words_of(task).items()]
        return {"namer": self.found.namer, "sides": sides, "text": self.found.named(task)}

    def label(self) -> list[Document]:
        """Return what goes with the human label."""
        return self._associations("label") if self.found is not None else []

    def coverage(self) -> str:
        """Say how well the coordinates tell the human label."""
        found = None if self.found is None else self.found.coverage
        if not found:
            return ""
        return (
            f"A linear probe tells the human label from the {found['coordinates']} coordinates of "
            f"all tasks in {found['accuracy']:.0%} of unseen images ({found['low']:.0%} to "
            f"{found['high']:.0%}); the commonest class alone gives {found['commonest_class']:.0%}."
        )

    def add_examples(self, sheet: Sheet, d: int, name: str) -> None:
        """Add the surest images that flip under the probe that flips most, before and after."""
        if self.encoder is None or self.probes.empty:
            return
        own = self.probes[(self.probes["task"] == name) & (self.probes["low"] > 0.05)]
        if own.empty:
            return
        # A high-pass filter undoes nearly every task: another example tells more.
        telling = own[(own["probe"] != "high_pass") & (own["low"] > FLIPS)]
        own = telling if len(telling) else own
        probe = str(own.sort_values("flips").iloc[-1]["probe"])
        images = self.dataset.images[self.rows]
        before_ND, after_ND = self._ask(""), self._ask(probe)
        flipped = np.flatnonzero(before_ND[:, d] != after_ND[:, d])[:EXAMPLES]
        word = PROBES[probe][1]
        sheet.add(f"flipped by {word}: before", self.rows[flipped])
        changed = PROBES[probe][0](images[flipped]) if len(flipped) else images[:0]
        sheet.add(f"flipped by {word}: after", self.rows[flipped], images=changed)

    def _ask(self, probe: str) -> IntArray:
        """Labels of the asked images under a probe; of the images themselves without one."""
        if probe not in self._labels:
            assert self.encoder is not None
            images = np.asarray(self.dataset.images[self.rows])
            changed = PROBES[probe][0](images) if probe else images
            self._labels[probe] = self.encoder.predict(changed)
        return self._labels[probe]

    def words_of(self, task: str) -> dict[str, list[str]]:
        """Return what each side of a task looks like; sides without a name are left out."""
        found = {} if self.found is None else self.found.names_of(task)
        return {side: [name.word for name in own] for side, own in found.items()}

    def _names(self, task: str) -> list[Document]:
        if self.found is None:
            return []
        return [
            {
                "side": f"class {name.side}",
                "word": name.word,
                "above": max(0.0, 2 * name.auc - 1),  # chance is an empty bar
                "text": f"{name.auc:.2f} ({name.low:.2f} to {name.high:.2f})",
                "images": name.images,
            }
            for own in self.found.names_of(task).values()
            for name in own
        ]

    def _associations(self, task: str) -> list[Document]:
        if self.associations.empty:
            return []
        own = self.associations[self.associations["task"] == task].head(SHOWN)
        return [
            {
                "name": "human label" if row["source"] == "label" else _word(row["factor"]),
                "measure": row["measure"],
                "effect": float(row["effect"]),
                "text": f"{row['effect']:.2f} ({row['low']:.2f} to {row['high']:.2f})",
                "sure": bool(row["q"] <= 0.05),
                "missing": int(row["missing"]),
            }
            for row in own.to_dict("records")
        ]

    def _probes(self, task: str) -> list[Document]:
        if self.probes.empty:
            return []
        own = self.probes[self.probes["task"] == task].sort_values("flips", ascending=False)
        return [
            {
                "name": PROBES[str(row["probe"])][1],
                "flips": float(row["flips"]),
                "constant": float(row["constant"]),
                "text": f"{row['flips']:.0%} ({row['low']:.0%} to {row['high']:.0%})",
            }
            for row in own.to_dict("records")
        ]


def _word(factor: Any) -> str:
    return WORDS.get(str(factor), str(factor))
