"""How a split was made, and what stands on both of its sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskdiscovery.types.aliases import Document


@dataclass(frozen=True, kw_only=True)
class Copies:
    """Images that stand on both sides of a split.

    Attributes:
        exact: test images that are exact copies of an image on the train side.
        near: test images that are nearly one, exact ones included.
        looked_at: how many test images were compared.
        pairs: ids of the test image and of the nearest train image, and their similarity; the
            twenty most alike.
        groups: groups with images on both sides; None where the data has no groups.
    """

    exact: int = 0
    near: int = 0
    looked_at: int = 0
    pairs: tuple[tuple[str, str, float], ...] = ()
    groups: int | None = None

    def to_json(self) -> Document:
        """Return the keys that `result.json` keeps."""
        return {
            "duplicates_across": self.exact,
            "near_duplicates": {
                "count": self.near,
                "looked_at": self.looked_at,
                "pairs": [
                    {"test": test, "train": train, "similarity": similarity}
                    for test, train, similarity in self.pairs
                ],
            },
            "groups_across": self.groups,
        }

    @classmethod
    def from_json(cls, numbers: Mapping[str, Any]) -> Copies:
        """Read them from the numbers of a split.

        Raises:
            KeyError, TypeError: where a value is missing, or none of its kind.
        """
        near, groups = numbers["near_duplicates"], numbers.get("groups_across")
        return cls(
            exact=int(numbers["duplicates_across"]),
            near=int(near["count"]),
            looked_at=int(near["looked_at"]),
            pairs=tuple((str(p["test"]), str(p["train"]), p["similarity"]) for p in near["pairs"]),
            groups=None if groups is None else int(groups),
        )


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a split was made and measured.

    Attributes:
        orientation: `same` trains where target and task are equal, `opposite` where they differ.
        group: the target's classes that count as class 1 of the task.
        class_balanced: whether the task was cut at its median within each class.
        learner, preset, precision, runs: how every figure was trained.
        choice: candidates in the order judged: `task`, `orientation`, `rung`, `images` and
            `epochs` of its training (0 where features of an untrained network were judged), its
            validation `accuracy`, and on the last rung `worst`, the probability that it is the
            worst of that rung.
        discovered: whether the task was discovered, so that it is known which images were seen.
        grouped: whether the data has groups, which were kept together.
        about: what the evidence of its run says of the task; "" where there is none.
    """

    orientation: str
    group: tuple[int, ...]
    class_balanced: bool
    learner: str
    preset: str
    precision: str
    runs: int
    choice: tuple[Document, ...] = ()
    discovered: bool = True
    grouped: bool = False
    about: str = ""

    def to_json(self) -> Document:
        """Return the keys that `result.json` keeps."""
        return {
            "orientation": self.orientation,
            "group": list(self.group),
            "class_balanced": self.class_balanced,
            "learner": self.learner,
            "preset": self.preset,
            "precision": self.precision,
            "runs": self.runs,
            "choice": [dict(row) for row in self.choice],
            "discovered": self.discovered,
            "grouped": self.grouped,
            "about": self.about,
        }

    @classmethod
    def from_json(cls, numbers: Mapping[str, Any]) -> Setup:
        """Read it from the numbers of a split.

        Raises:
            KeyError, TypeError: where a value is missing, or none of its kind.
        """
        return cls(
            orientation=str(numbers["orientation"]),
            group=tuple(int(c) for c in numbers["group"]),
            class_balanced=bool(numbers["class_balanced"]),
            learner=str(numbers["learner"]),
            preset=str(numbers["preset"]),
            precision=str(numbers["precision"]),
            runs=int(numbers["runs"]),
            choice=tuple(dict(row) for row in numbers["choice"]),
            discovered=bool(numbers.get("discovered", True)),
            grouped=bool(numbers.get("grouped", False)),
            about=str(numbers.get("about", "")),
        )
