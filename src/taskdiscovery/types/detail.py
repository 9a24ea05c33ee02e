"""What stands beside an accuracy: each run, each class, groups of images, a constant answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from taskdiscovery.types.aliases import Document
from taskdiscovery.types.scores import Interval

#: images of a class or group below which its accuracy says little, and that is said.
FEW = 30


@dataclass(frozen=True, kw_only=True)
class Part:
    """Accuracy on some of the images.

    Attributes:
        name: a class, or a class with a side of the task, e.g. "cat, task_003 = 1".
        images: how many were measured.
        accuracy: on them.
    """

    name: str
    images: int
    accuracy: Interval

    def to_json(self) -> Document:
        """Return `name`, `images` and the interval's own keys."""
        return {"name": self.name, "images": self.images, **self.accuracy.to_json()}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Part:
        """Read a part as a run keeps it.

        Raises:
            KeyError, TypeError: where a value is missing, or there is one too many.
        """
        own = dict(row)
        name, images = str(own.pop("name")), int(own.pop("images"))
        return cls(name=name, images=images, accuracy=Interval(**own))


@dataclass(frozen=True, kw_only=True)
class Detail:
    """What stands beside the accuracy of one figure.

    Attributes:
        images: how many were measured.
        runs: accuracy of each run.
        majority: accuracy of always saying the class that is commonest where it was trained.
        balanced: mean of the accuracies on each class, so that rare classes count as much.
        crossed: share of answers that lie in the other group of classes than the true one (of two
            classes: the share of errors). On the test side of a split that is what the task says.
        classes: accuracy on each class that was measured.
        groups: on each class on either side of the cutting task.
    """

    images: int
    runs: tuple[float, ...]
    majority: float
    balanced: Interval
    crossed: Interval
    classes: tuple[Part, ...]
    groups: tuple[Part, ...]

    @property
    def worst_class(self) -> Part:
        """The class of the lowest accuracy, of those with enough images if there are any."""
        return worst(self.classes)

    @property
    def worst_group(self) -> Part:
        """The group of the lowest accuracy, of those with enough images if there are any."""
        return worst(self.groups)

    @property
    def few(self) -> tuple[Part, ...]:
        """The classes of which fewer than 30 images were measured."""
        return tuple(part for part in self.classes if part.images < FEW)

    def to_json(self) -> Document:
        """Return what `result.json` keeps."""
        return {
            "images": self.images,
            "runs": list(self.runs),
            "majority": self.majority,
            "balanced": self.balanced.to_json(),
            "crossed": self.crossed.to_json(),
            "classes": [part.to_json() for part in self.classes],
            "groups": [part.to_json() for part in self.groups],
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Detail:
        """Read a detail as a run keeps it.

        Raises:
            KeyError, TypeError: where a value is missing, or none of its kind.
        """
        return cls(
            images=int(row["images"]),
            runs=tuple(float(value) for value in row["runs"]),
            majority=float(row["majority"]),
            balanced=Interval(**row["balanced"]),
            crossed=Interval(**row["crossed"]),
            classes=tuple(map(Part.from_json, row["classes"])),
            groups=tuple(map(Part.from_json, row["groups"])),
        )


def worst(parts: Iterable[Part]) -> Part:
    """Return the part of the lowest accuracy, of those with at least 30 images if there are any."""
    parts = list(parts)
    enough = [part for part in parts if part.images >= FEW]
    return min(enough or parts, key=lambda part: part.accuracy.mean)


def table(figures: Mapping[str, Interval], details: Mapping[str, Detail]) -> list[Document]:
    """Return a row for each figure, with what stands beside it; None where that was not kept.

    Args:
        figures: accuracies by name.
        details: of some or all of them.
    """
    rows: list[Document] = []
    for name, interval in figures.items():
        row: Document = {
            "figure": name,
            "accuracy": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "covers": interval.covers,
        }
        row |= dict.fromkeys(("balanced", "worst class", "worst group", "majority", "runs"))
        own = details.get(name)
        if own is not None:
            row["balanced"], row["majority"] = own.balanced.mean, own.majority
            for which, part in (("class", own.worst_class), ("group", own.worst_group)):
                row[f"worst {which}"] = f"{part.name}: {part.accuracy.mean:.3f}"
            row["runs"] = " ".join(f"{value:.3f}" for value in own.runs)
        rows.append(row)
    return rows


def long_table(figures: Mapping[str, Interval], details: Mapping[str, Detail]) -> list[Document]:
    """Return a row for each figure, and for each class and group of it, all of them numbers."""
    rows: list[Document] = []
    for name, interval in figures.items():
        own = details.get(name)
        row = _long_row(name, "all", interval)
        if own is None:
            rows.append(row)
            continue
        row |= {"images": own.images, "balanced": own.balanced.mean, "majority": own.majority}
        rows.append(row | {f"run_{i}": value for i, value in enumerate(own.runs)})
        for part in (*own.classes, *own.groups):
            rows.append(_long_row(name, part.name, part.accuracy) | {"images": part.images})
    return rows


def _long_row(figure: str, part: str, interval: Interval) -> Document:
    row: Document = {"figure": figure, "part": part, "accuracy": interval.mean}
    return row | {"low": interval.low, "high": interval.high, "covers": interval.covers}
