"""Human attributes of images, fixed in files before anything was measured.

A file names the classes of a data set, groups of them, and the images that are looked at. Which
file is meant is told by the classes of the data.

Axes: N images, A attributes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import taskdiscovery as td
from taskdiscovery.types import BoolArray, IntArray

PLACE = Path(__file__).parent
#: attributes that are this alike count as one.
ALIKE = 0.8


@dataclass(frozen=True, kw_only=True)
class Attributes:
    """The attributes of a data set.

    Attributes:
        name: of the file.
        classes: of the data set, in the order of its labels.
        groups: by attribute, the classes that have it; equal ones once.
        images: how many of the data set are looked at; None for all.
        drawn: which: `first`, or `at random` (seed 0, in rising order), or `all`.
    """

    name: str
    classes: tuple[str, ...]
    groups: Mapping[str, frozenset[str]]
    images: int | None
    drawn: str

    @classmethod
    def read(cls, place: Path) -> Attributes:
        """Read a file."""
        known = json.loads(place.read_text("utf-8"))
        given = {c: [c] for c in known["classes"]} if known["each_class"] else {}
        distinct: dict[frozenset[str], str] = {}
        for name, members in {**given, **known["groups"]}.items():
            assert set(members) <= set(known["classes"]), name
            distinct.setdefault(frozenset(members), name)
        return cls(
            name=place.stem,
            classes=tuple(known["classes"]),
            groups={name: members for members, name in distinct.items()},
            images=known["images"],
            drawn=known["drawn"],
        )

    def rows(self, count: int) -> IntArray:
        """Return the rows of a data set of so many images that are looked at."""
        if self.images is None or count <= self.images:
            return np.arange(count)
        if self.drawn == "first":
            return np.arange(self.images)
        return np.sort(np.random.default_rng(0).permutation(count)[: self.images])

    def masks(self, dataset: td.Dataset) -> dict[str, BoolArray]:
        """Return (N,) for each attribute, whether an image has it."""
        assert dataset.labels is not None
        names = [known.lower() for known in dataset.classes]
        class_N = np.array([names.index(c) if c in names else -1 for c in self.classes])
        return {
            name: np.isin(dataset.labels, [class_N[self.classes.index(c)] for c in members])
            for name, members in self.groups.items()
        }


def every() -> list[Attributes]:
    """Return the attributes of all files."""
    return [Attributes.read(place) for place in sorted(PLACE.glob("*.json"))]


def of(dataset: td.Dataset) -> Attributes:
    """Return the attributes of a data set, told by its classes.

    Raises:
        ConfigError: where no file has its classes.
    """
    classes = {known.lower() for known in dataset.classes}
    for known in every():
        if set(known.classes) == classes:
            return known
    raise td.ConfigError(
        f"no attributes are known for the classes {', '.join(sorted(classes)[:5])}, …",
        where="--data",
        hint=f"give {', '.join(known.name for known in every())}, or add a file to {PLACE.name}/",
    )


def correlation(a_N: BoolArray, b_N: BoolArray) -> float:
    """Return φ of two masks; 0 where one is constant."""
    if a_N.all() or b_N.all() or not a_N.any() or not b_N.any():
        return 0.0
    return float(np.corrcoef(a_N, b_N)[0, 1])
