"""What stands in a run directory: the one place that knows its files of results and their columns.

A job writes its values here, and `open_run` gives the same values back.

Axes: N images, D tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import Network
from taskdiscovery.data.readers.arrays import digests
from taskdiscovery.errors import ConfigError, nearest
from taskdiscovery.store import manifest
from taskdiscovery.store.files import RESULT, RunFiles
from taskdiscovery.store.layout import (
    ASSOCIATIONS,
    COMPARISONS,
    COORDINATES,
    ENCODER,
    FILES,
    IMAGES,
    INDICES,
    METADATA,
    PARTITION,
    PER_IMAGE,
    PROBES,
    REPORT,
    ROLES_TABLE,
    SCORES,
    SPLITS,
    TABLE,
    TASKS,
    remedy_of,
)
from taskdiscovery.types import (
    ROLES,
    Dataset,
    Document,
    Evidence,
    Labeling,
    Name,
    Score,
    Scores,
    Split,
    Tasks,
)
from taskdiscovery.types.scores import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder

#: files of results that there is one of.
_ALONE = (ENCODER, TASKS, COORDINATES, IMAGES, ASSOCIATIONS, PROBES, REPORT)
#: what the columns of scores are; the others are numbers.
_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("name", "task", "learner", "preset", "precision", "covers"), str),
    **dict.fromkeys(("runs", "failed"), int),
    "accuracies": lambda values: tuple(map(float, values)),
}


class Run(RunFiles):
    """A run on disk, and what its jobs found.

    `Run.open(path)` reads; a network of one's own is named again by `objects`, or its encoder
    stays closed.

    Attributes:
        objects: networks that the caller has named, by name.
    """

    objects: Mapping[str, Network] = {}

    # --- discover ---

    @cached_property
    def tasks(self) -> Tasks:
        """The tasks of the data that was searched.

        Raises:
            RunDirError: where a file is missing or damaged.
        """
        table, coordinates = self.table(TASKS), self.table(COORDINATES)
        with self.understood("tasks", "restore result.json, or discover again"):
            names = tuple(c for c in table.columns if c.startswith("task_"))
            classes, labels = int(self.numbers.get("classes", 2)), table[list(names)]
            if labels.isna().to_numpy().any():
                raise ValueError("an image has no label")
            if not 2 <= classes <= 100 or not labels.isin(range(classes)).to_numpy().all():
                raise ValueError(f"its labels are not those of {classes} classes")
            numbers = coordinates.drop(columns="image_id").to_numpy(np.float32)
            if numbers.shape != (len(table), len(names) * (classes - 1)) or not names:
                raise ValueError(f"{COORDINATES} has other rows or columns than {TASKS}")
            return Tasks(
                labels_ND=labels.to_numpy(np.int64),
                names=names,
                ids_N=table["image_id"].to_numpy(dtype=np.str_),
                k=(classes,) * len(names),
                coordinates_NP=numbers,
                seen_N=(table["partition"] == "train").to_numpy(),
            )

    @cached_property
    def encoder(self) -> Encoder | FeatureEncoder:
        """The encoder of the tasks.

        Raises:
            RunDirError: where it is missing or damaged, or needs code that the caller did not name.
        """
        from taskdiscovery.encoders.encoder import Encoder
        from taskdiscovery.encoders.linear import FeatureEncoder, is_of_features

        content, where = self.content(ENCODER), str(self.path / ENCODER)
        if is_of_features(content):
            return FeatureEncoder.from_bytes(content, where)
        return Encoder.from_bytes(content, self.objects, where)

    @property
    def discovery(self) -> Discovery:
        """Tasks, encoder and headline numbers, as `discover` returned them.

        Raises:
            RunDirError: as `tasks` and `encoder`.
        """
        from taskdiscovery.encoders.discovery import Discovery

        own = {SCORES, SPLITS, COMPARISONS, "analysis", "data", "options"}
        return Discovery(
            tasks=self.tasks,
            encoder=self.encoder,
            numbers={k: v for k, v in self.numbers.items() if k not in own},
            config={k: v for k, v in self.config.items() if k not in ("format", "command")},
            fingerprint=self.fingerprint,
        )

    @property
    def fingerprint(self) -> str:
        """Of the data set that the run was made from; empty where it is not known."""
        data = self.numbers.get("data")
        return str(data.get("fingerprint") or "") if isinstance(data, dict) else ""

    @property
    def seed(self) -> int:
        """That decided the partition; 0 where the config has none."""
        with self.understood("seed", "restore config.yaml"):
            return int(self.config.get("seed", 0))

    def is_of(self, dataset: Dataset) -> bool:
        """Say whether the rows of the run's tables are the images of a data set, in their order."""
        if not self.fingerprint or self.fingerprint == dataset.fingerprint:
            return True
        tables = [f"{SCORES}/{name}/{PER_IMAGE}" for name in self.names(SCORES)]
        tables += [f"{SPLITS}/{name}/{ROLES_TABLE}" for name in self.names(SPLITS)]
        known = [name for name in (IMAGES, *tables) if self.has(name)]
        if not known or dataset.has_row_numbers:
            return False
        table = self.table(known[0])
        with self.understood(f"ids of {known[0]}", "discover again"):
            return np.array_equal(table["image_id"].to_numpy(np.str_), dataset.ids)

    def __repr__(self) -> str:
        return f"<Run {self.path}: {self.config.get('command', '')}, {self.state}>"

    def seen_images(self) -> Any:
        """Return the digests of the images that discovery may have seen.

        Raises:
            RunDirError: where the file is missing or damaged.
        """
        images = self.table(IMAGES)
        with self.understood(IMAGES, remedy_of(IMAGES)):
            return images["digest"].to_numpy()[(images["partition"] == "train").to_numpy()]

    def write_discovery(self, found: Discovery, dataset: Dataset) -> None:
        """Write encoder, tasks, coordinates, who was seen, and the headline numbers."""
        import pandas as pd

        tasks = found.tasks
        self.write(ENCODER, found.encoder.to_bytes())
        table = tasks.to_frame()
        table[list(tasks.names)] = table[list(tasks.names)].astype(np.uint8)
        self.write_table(TASKS, table)
        if tasks.coordinates_NP is not None:
            columns = [
                name if k == 2 else f"{name}_{j}"
                for name, k in zip(tasks.names, tasks.k, strict=True)
                for j in range(k - 1)
            ]
            frame = pd.DataFrame(tasks.coordinates_NP, columns=columns)
            frame.insert(0, "image_id", tasks.ids_N)
            self.write_table(COORDINATES, frame)
        images = {"image_id": tasks.ids_N, "partition": table["partition"]}
        self.write_table(IMAGES, pd.DataFrame({**images, "digest": digests(dataset.content)}))
        self.add_numbers({"data": described(dataset), **found.numbers})

    # --- what there are several of, by name ---

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
        known = self.numbers.get("options", {})
        return {**known, kind: {**known.get(kind, {}), name: options}}

    def drop(self, kind: str, name: str) -> None:
        """Remove a score or a split that was never committed; nothing where there is none of it."""
        for file in FILES[kind]:
            self.place.remove(f"{kind}/{name}/{file}")
        self.place.inside(f"{kind}/{name}").remove_itself()
        self.place.inside(kind).remove_itself()
        numbers = self.numbers
        options = {key: dict(value) for key, value in numbers.get("options", {}).items()}
        options.get(kind, {}).pop(name, None)
        if kind == SPLITS:
            kept: Any = {k: v for k, v in numbers.get(kind, {}).items() if k != name}
        else:
            kept = [row for row in numbers.get(kind, []) if row["name"] != name]
        if name in self.names(kind):
            self.add_numbers({kind: kept, "options": options})

    def remove_whole(self) -> None:
        """Remove the run and all that its jobs wrote, and nothing that somebody else put there."""
        for kind in FILES:
            for name in self.names(kind):
                self.drop(kind, name)
        for file in (*_ALONE, RESULT, manifest.NAME):
            self.place.remove(file)
        self.discard()

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

    # --- analyze ---

    @property
    def evidence(self) -> Evidence | None:
        """The evidence of the run, or None.

        Raises:
            RunDirError: where a file is damaged.
        """
        numbers = self.numbers.get("analysis")
        if numbers is None:
            return None
        with self.understood("evidence", "restore result.json, or analyze again"):
            tasks = {str(task["name"]): task for task in numbers["tasks"]}
            return Evidence(
                associations=self.table(ASSOCIATIONS),
                probes=self.table(PROBES),
                coverage=numbers["coverage"],
                verdicts={name: str(task["verdict"]) for name, task in tasks.items()},
                images=int(numbers["images"]),
                redundancy=numbers["adjusted_mutual_information"],
                words={name: task["words"] for name, task in tasks.items() if "words" in task},
                namer=str(numbers.get("namer", "")),
                names=tuple(
                    Name.from_json(name, row)
                    for name, task in tasks.items()
                    for row in task.get("names", ())
                ),
            )

    def write_evidence(self, found: Evidence) -> None:
        """Write the tables of evidence, and its headline numbers."""
        self.write_table(ASSOCIATIONS, found.associations)
        self.write_table(PROBES, found.probes)
        self.add_numbers({"analysis": found.numbers})

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

    # --- report ---

    def write_report(self, page: str) -> Path:
        """Write and commit the report, and return its path."""
        self.write(REPORT, page.encode("utf-8", "backslashreplace"))
        self.commit()
        return self.path / REPORT


def described(dataset: Dataset) -> Document:
    """Return what `result.json` says of the data."""
    return {
        "name": dataset.name,
        "images": len(dataset),
        "fingerprint": dataset.fingerprint,
        "range": None if dataset.range is None else list(dataset.range),
        "target": dataset.half_of_classes(),
    }


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
