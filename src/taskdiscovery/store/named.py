"""What a run holds several of, each under a name: scores, splits, comparisons.

Axes: N images.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.store.files import RunFiles
from taskdiscovery.store.layout import (
    COMPARISONS,
    FILES,
    INDICES,
    METADATA,
    PARTITION,
    PER_IMAGE,
    ROLES_TABLE,
    SCORES,
    SPLITS,
    TABLE,
    remedy_of,
)
from taskdiscovery.types import ROLES, Dataset, Document, Labeling, Score, Scores, Split
from taskdiscovery.types.scores import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

#: what the columns of scores are; the others are numbers.
_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "task", "learner", "preset", "precision", "covers"), str),
    **dict.fromkeys(("runs", "failed"), int),
    "accuracies": lambda values: tuple(map(float, values)),
}


class NamedResults(RunFiles):
    """The results of a run that stand beside others of their kind, and never replace them."""

    def names(self, kind: str) -> dict[str, str]:
        """Return the names of the run's scores or splits, oldest first, with their learners.

        Args:
            kind: `scores` or `splits`.

        Raises:
            RunDirError: where result.json is damaged.
        """
        with self.understood(kind, "restore result.json"):
            found = self.numbers.get(kind, {})
            rows = found.items() if kind == SPLITS else ((r["name"], r) for r in found)
            return {str(name): str(row["learner"]) for name, row in rows}

    @property
    def options(self) -> Document:
        """The options that scores and splits were made with, by `scores` or `splits` and name.

        Raises:
            RunDirError: where result.json is damaged.
        """
        with self.understood("options", "restore result.json"):
            found = self.numbers.get("options", {})
            return {
                kind: {n: dict(own) for n, own in found.get(kind, {}).items()} for kind in FILES
            }

    def _with_options(self, kind: str, name: str, options: Document) -> Document:
        known = self.options
        return {**known, kind: {**known[kind], name: options}}

    def drop(self, kind: str, name: str) -> None:
        """Remove a score or a split that was never committed; nothing where there is none of it.

        Args:
            kind: `scores` or `splits`.
            name: of it.
        """
        for file in FILES[kind]:
            self.place.remove(f"{kind}/{name}/{file}")
        self.place.inside(f"{kind}/{name}").remove_itself()
        self.place.inside(kind).remove_itself()
        if name not in self.names(kind):
            return
        options, found = self.options, self.numbers[kind]
        options[kind].pop(name, None)
        if kind == SPLITS:
            kept: Any = {own: row for own, row in found.items() if own != name}
        else:
            kept = [row for row in found if row["name"] != name]
        self.add_numbers({kind: kept, "options": options})

    # --- score ---

    @property
    def scores(self) -> Scores:
        """All scores of the run, oldest first; empty where nothing was scored.

        Raises:
            RunDirError: where a file is damaged.
        """
        found: list[Score] = []
        for name in self.names(SCORES):
            files = [f"{SCORES}/{name}/{file}" for file in FILES[SCORES]]
            with self.understood(f"scores {name!r}", remedy_of(files[0])):
                found += _scores(*map(self.table, files))
        return Scores(found)

    def write_scores(
        self, scores: Scores, dataset: Dataset, *, name: str, options: Document
    ) -> None:
        """Add scores under a name of their own.

        Args:
            scores: of one job.
            dataset: the images.
            name: that no other scores of the run have.
            options: of the job.
        """
        import pandas as pd

        rows = scores.to_frame()
        rows["kappa"] = rows["kappa"].astype(np.float64)
        self.write_table(f"{SCORES}/{name}/{TABLE}", rows)
        columns: dict[str, Any] = {"image_id": dataset.ids}
        for result in scores:
            column = np.full(len(dataset), np.nan, dtype=np.float32)
            column[result.rows_n] = result.agreement_n
            columns[result.task] = column
        self.write_table(f"{SCORES}/{name}/{PER_IMAGE}", pd.DataFrame(columns))
        others = [row for row in self.numbers.get(SCORES, []) if row["name"] != name]
        self.add_numbers(
            {
                SCORES: [*others, *rows.to_dict("records")],
                "options": self._with_options(SCORES, name, options),
            }
        )

    # --- split ---

    @property
    def splits(self) -> dict[str, Split]:
        """The splits of the run by name, oldest first.

        Raises:
            RunDirError: where a file is damaged.
        """
        return {name: self.split_named(name) for name in self.names(SPLITS)}

    @property
    def split(self) -> Split | None:
        """The split of the run, the last where there are several; None where there is none.

        Raises:
            RunDirError: where a file is damaged.
        """
        names = list(self.names(SPLITS))
        return self.split_named(names[-1]) if names else None

    def split_named(self, name: str) -> Split:
        """Return one of the splits.

        Raises:
            ConfigError: where there is none of this name.
            RunDirError: where a file is damaged.
        """
        if name not in self.names(SPLITS):
            raise ConfigError(
                f"the run has no split {name!r}",
                where=str(self.path),
                hint=nearest(name, self.names(SPLITS)),
            )
        table = self.table(f"{SPLITS}/{name}/{ROLES_TABLE}")
        with self.understood(f"split {name!r}", "restore result.json, or split again"):
            numbers = self.numbers[SPLITS][name]
            ids = table["image_id"].to_numpy(dtype=np.str_)
            target, task = (
                Labeling(name=str(numbers[key]), classes=classes, labels_N=labels, ids_N=ids)
                for key, classes, labels in (
                    ("target", tuple(map(str, numbers["classes"])), _integers(table["y"])),
                    ("task", ("0", "1"), _integers(table["place"])),
                )
            )
            return Split.from_numbers(numbers, target, task, table["role"].to_numpy(np.int8))

    def write_split(self, found: Split, *, name: str, options: Document) -> None:
        """Add a split under a name of its own, as other tools read it, into `splits/NAME/`.

        Args:
            found: the split.
            name: that no other split of the run has.
            options: of the job.
        """
        import pandas as pd

        place = f"{SPLITS}/{name}"
        roles = {
            "image_id": found.ids_N,
            "y": found.target.labels_N,
            "place": found.task.labels_N,
            "role": found.role_N.astype(np.int8),
        }
        self.write_table(f"{place}/{ROLES_TABLE}", pd.DataFrame(roles))
        self.write(f"{place}/{METADATA}", found.to_frame().to_csv(index=False).encode("utf-8"))
        indices = {role: found.indices(number).tolist() for role, number in ROLES.items()}
        self.write(f"{place}/{INDICES}", json.dumps(indices, indent=1).encode() + b"\n")
        # As CelebA's readers expect it: image_id, partition (0 train, 1 validation, 2 test).
        partition = found.to_frame()[["img_filename", "split"]]
        partition.columns = pd.Index(["image_id", "partition"])
        self.write(f"{place}/{PARTITION}", partition.to_csv(index=False).encode("utf-8"))
        known = {k: v for k, v in self.numbers.get(SPLITS, {}).items() if k != name}
        self.add_numbers(
            {
                SPLITS: {**known, name: found.numbers},
                "options": self._with_options(SPLITS, name, options),
            }
        )

    # --- compare ---

    @property
    def comparisons(self) -> dict[str, Document]:
        """The numbers of comparisons with other images that were kept, by name.

        Raises:
            RunDirError: where result.json is damaged.
        """
        with self.understood("comparisons", "restore result.json, or compare again"):
            return {str(name): dict(own) for name, own in self.numbers.get(COMPARISONS, {}).items()}

    def write_comparison(self, numbers: Document, *, name: str) -> None:
        """Keep the numbers of a comparison under a name, and commit them."""
        self.add_numbers({COMPARISONS: {**self.comparisons, name: numbers}})
        self.commit()


def _scores(rows: pd.DataFrame, per_image: pd.DataFrame) -> list[Score]:
    """Put the scores of one job together again.

    Args:
        rows: a score each.
        per_image: agreement by image, a column a task.
    """
    ids = per_image["image_id"].to_numpy(dtype=np.str_)
    found = []
    for row in rows.to_dict("records"):
        column = per_image[row["task"]]
        measured = np.flatnonzero(column.notna().to_numpy())
        own: Document = {name: _KINDS.get(name, float)(row[name]) for name in COLUMNS}
        own["kappa"] = None if np.isnan(own["kappa"]) else own["kappa"]
        found.append(
            Score(
                **own,
                agreement_n=column.to_numpy()[measured].astype(np.float32),
                rows_n=measured,
                ids_n=ids[measured],
            )
        )
    return found


def _integers(column: pd.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
    return column.to_numpy(np.int64)
