"""What the report shows of `analyze`: verdicts, properties, probes, and images that flipped."""

from __future__ import annotations

import numpy as np
import pandas as pd

from taskdiscovery.analysis.probes import PROBES
from taskdiscovery.analysis.rules import FLIPS, JOINT_LOW, MORE_THAN_NOISE, RATE
from taskdiscovery.analysis.wording import levels_by_side, name_of, shortened
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.pictures import Sheet
from taskdiscovery.types import Document, IntArray

ASKED = 240  # unseen images that are transformed to find examples
EXAMPLES = 12
SHOWN = 6  # properties of each list
TOGETHER = {
    "statistics": "all image statistics",
    "attributes": "all attributes",
    "label": "the label's classes",
    "everything": "everything",
}


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
        """Return the tables of a task: properties, joint models, probes, words, names."""
        if self.found is None:
            return None
        return {
            **self._properties(name),
            "probes": self._probes(name),
            "notes": self.found.notes,
            "words": self.found.words.get(name),
            "names": self._names(name),
        }

    def names(self, task: str) -> Document | None:
        """Return what the sides of a task look like, and to whom; None where nobody was asked."""
        if self.found is None or not self.found.namer:
            return None
        sides = [{"side": side, "words": own} for side, own in self.words_of(task).items()]
        return {"namer": self.found.namer, "sides": sides, "text": self.found.named(task)}

    def label(self) -> Document | None:
        """Return what goes with the human label; None where nothing was measured."""
        if self.associations.empty or not (self.associations["task"] == "label").any():
            return None
        return self._properties("label")

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
        # What flips every task, or no more than noise does, tells little: another tells more.
        telling = own[own["tells"] & (own["difference_low"] > MORE_THAN_NOISE)]
        telling = telling[telling["low"] > FLIPS]
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

    def _properties(self, task: str) -> Document:
        """Return the rows of either list, and of the joint models."""
        assert self.found is not None
        own = self.associations
        own = own[own["task"] == task] if len(own) else own
        measured, named = own, own
        if len(own):
            measured, named = (own[own["source"].eq("statistic").eq(x)] for x in (True, False))
        return {
            "attributes": [self._property(row, own) for row in _best(named)],
            "statistics": [self._property(row, own) for row in _best(measured)],
            "joint": [
                {
                    "name": TOGETHER[str(model["inputs"])],
                    "effect": max(0.0, 2 * model["auc"] - 1),
                    "text": _interval(model["auc"], model["low"], model["high"]),
                    "sure": model["low"] >= JOINT_LOW,
                    "how": f"on {model['images']:,} images, fitted on {model['fitted']:,}"
                    + (" others" if model["held_out"] else ", in turn"),
                }
                for model in self.found.joint.get(task, [])
            ],
        }

    def _property(self, row: Document, own: pd.DataFrame) -> Document:
        low, high = (1 + row["low"]) / 2, (1 + row["high"]) / 2
        return {
            "name": name_of(row) if row["kind"] != "grouping" else f"{name_of(row)}, all levels",
            "effect": float(row["effect"]),
            "text": _interval((1 + row["effect"]) / 2, low, high),
            "where": self._where(row, own),
            "sure": bool(row["q"] <= RATE),
            "missing": int(row["missing"]),
        }

    def _where(self, row: Document, own: pd.DataFrame) -> str:
        """Say on which side a property is found."""
        if not row["side"]:
            return "mean over all classes"
        if row["kind"] == "level":
            return (
                f"{row['share']:.0%} of {row['count']:,} in class {row['side']}, "
                f"which has {row['side_rate']:.0%} of all"
            )
        if row["kind"] == "grouping":
            levels = own[(own["factor"] == row["factor"]) & (own["kind"] == "level")]
            sides = levels_by_side(levels[levels["side"] == row["side"]])
            return "; ".join(
                f"{side}: {shortened(names)}" for side, names in sides.items() if names
            )
        if row["kind"] == "bands":
            return "by bands, not by order"
        return f"{'more' if row['auc'] >= 0.5 else 'less'} in class {row['side']}"

    def _probes(self, task: str) -> list[Document]:
        if self.probes.empty:
            return []
        own = self.probes[self.probes["task"] == task].sort_values("flips", ascending=False)
        return [
            {
                "name": PROBES[str(row["probe"])][1],
                "flips": float(row["flips"]),
                "reference": float(row["reference"]),
                "by_chance": float(row["by_chance"]),
                "tells": bool(row["tells"] and row["q"] <= RATE),
                "every": not row["tells"],
                "text": f"{row['flips']:.0%} ({100 * row['low']:.0f} to {100 * row['high']:.0f})",
            }
            for row in own.to_dict("records")
        ]


def _best(rows: pd.DataFrame) -> list[Document]:
    return [{str(k): v for k, v in row.items()} for row in rows.head(SHOWN).to_dict("records")]


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
