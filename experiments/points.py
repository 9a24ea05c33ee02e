"""All pairs of agreement and accuracy that were ever recorded: where labelings lie in the plane."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeGuard

from experiments.records import Row

#: what a labeling of a kind is called in the figure, by the first word of its kind.
FAMILIES = {
    "human": "human",
    "flipped": "flipped labels",
    "random": "random",
    "published": "published",
    "power": "discovered",
    "discovered": "discovered",
    "meta": "discovered",
    "spectral": "discovered",
    "uniformity": "discovered",
    "untrained": "discovered",
    "pursuit": "discovered",
    "contain": "discovered",
    "pixels": "components, statistics",
    "ica": "components, statistics",
    "threshold": "components, statistics",
    "unequal": "unequal or several classes",
    "several": "unequal or several classes",
    "kway": "unequal or several classes",
    "split": "adversarial split",
    "shift": "other images",
}


#: studies whose other kinds are names of searches.
SEARCHES = ("variants", "better", "methods", "architectures")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A labeling as a learner learnt it.

    Attributes:
        source: the study.
        learner: its SPEC.
        family: of FAMILIES, or `other`.
        agreement, accuracy: of runs on the same images.
        high: the upper end of the interval of agreement; agreement itself where none was kept.
    """

    source: str
    learner: str
    family: str
    agreement: float
    accuracy: float
    high: float

    @property
    def room(self) -> float:
        """How far the accuracy is below the bound (1 + AS) / 2."""
        return (1 + self.agreement) / 2 - self.accuracy


def gathered(documents: Iterable[Row]) -> list[Point]:
    """Return the points of results, each once: several studies share scores."""
    found = {(p.learner, p.agreement, p.accuracy): p for own in documents for p in of_document(own)}
    return list(found.values())


def of_document(document: Row) -> Iterator[Point]:
    """Yield the points of one result."""
    source, learner = str(document["experiment"]), str(document["learner"])
    if source == "estimates":
        yield from _of_estimates(document, learner)
    else:
        yield from _of(document, source, learner)


def _of(value: Any, source: str, learner: str) -> Iterator[Point]:
    """Yield the points of everything within a value that has both numbers."""
    if isinstance(value, list):
        for own in value:
            yield from _of(own, source, learner)
    elif isinstance(value, dict):
        agreement, accuracy = value.get("agreement"), value.get("accuracy")
        if _number(agreement) and _number(accuracy):
            about = {"source": source, "learner": str(value.get("learner", learner))}
            kind = str(value.get("kind", ""))
            yield _point(value, about, kind, float(agreement), float(accuracy))
        else:
            for own in value.values():
                yield from _of(own, source, learner)


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and isfinite(value)


def _point(
    value: Row, about: dict[str, str], kind: str, agreement: float, accuracy: float
) -> Point:
    word = "flipped" if "flipped" in str(value.get("task", "")) else re.split("[-?]", kind)[0]
    high = value.get("high")
    return Point(
        **about,
        family=FAMILIES.get(word, "discovered" if about["source"] in SEARCHES else "other"),
        agreement=round(agreement, 4),
        accuracy=round(accuracy, 4),
        high=round(float(high), 4) if isinstance(high, int | float) else round(agreement, 4),
    )


def _of_estimates(document: Row, learner: str) -> Iterator[Point]:
    """Yield the points of a study of estimates.

    Its labelings; corrupted images, on which the estimate `agreement` is AS itself; splits, as the
    mean over cases of each strength; and images that break a bias, of which it kept the bound.
    """
    about = {"source": "estimates", "learner": learner}
    for row in document.get("labelings", {}).get("rows", []):
        yield _point({}, about, str(row["kind"]), float(row["score"]), float(row["accuracy"]))
    for row in document.get("corruptions", {}).get("rows", []):
        yield _point({}, about, "shift", float(row["agreement"]), float(row["accuracy"]))
    for own in document.get("splits", {}).get("strengths", {}).values():
        parts = own["conflicting"]
        pair = [float(parts[key]["mean"]) for key in ("agreement", "accuracy")]
        yield _point({}, about, "split", *pair)
    for row in document.get("natural", {}).get("rows", []):
        yield _point({}, about, "shift", 2 * float(row["bound"]) - 1, float(row["accuracy"]))
