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
from taskdiscovery.store.files import RunFiles
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

ENCODER = "encoder.safetensors"
TASKS = "tasks.parquet"
COORDINATES = "coordinates.parquet"
IMAGES = "images.parquet"
SCORES = "scores.parquet"
PER_IMAGE = "per_image.parquet"
ROLES_TABLE = "split/roles.parquet"
METADATA = "split/metadata.csv"
INDICES = "split/indices.json"
PARTITION = "split/list_eval_partition.csv"
ASSOCIATIONS = "associations.parquet"
PROBES = "probes.parquet"
REPORT = "report.html"

#: how each file of results can be had again where it is damaged.
REMEDIES = {
    ENCODER: "discover again; the tasks of this data can be used without it",
    TASKS: "label the data again: taskdiscovery label RUN DATA",
    COORDINATES: "discover again; tasks and encoder can be used without it",
    IMAGES: "discover again, or use the run on its own data only",
    SCORES: "score again: taskdiscovery score DATA --from RUN",
    PER_IMAGE: "score again: taskdiscovery score DATA --from RUN",
    ROLES_TABLE: "split again: taskdiscovery split DATA --from RUN",
    METADATA: "split again: taskdiscovery split DATA --from RUN",
    INDICES: "split again: taskdiscovery split DATA --from RUN",
    PARTITION: "split again: taskdiscovery split DATA --from RUN",
    ASSOCIATIONS: "measure again: taskdiscovery analyze RUN",
    PROBES: "measure again: taskdiscovery analyze RUN",
    REPORT: "write it again: taskdiscovery report RUN",
}

#: what the columns of scores are; the others are numbers.
_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("task", "learner", "preset", "precision", "covers"), str),
    **dict.fromkeys(("runs", "failed"), int),
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

        own = {"scores", "split", "analysis", "data"}
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
        known = [name for name in (IMAGES, PER_IMAGE, ROLES_TABLE) if self.has(name)]
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
        with self.understood(IMAGES, REMEDIES[IMAGES]):
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

    # --- score ---

    @property
    def scores(self) -> Scores:
        """All scores of the run; empty where nothing was scored.

        Agreement by image is known for the score of a task that was written last.

        Raises:
            RunDirError: where a file is damaged.
        """
        if not self.has(SCORES):
            return Scores()
        with self.understood("scores", REMEDIES[SCORES]):
            return self._scores(self.table(SCORES), self.table(PER_IMAGE))

    def _scores(self, rows: pd.DataFrame, per_image: pd.DataFrame) -> Scores:
        """Put the scores together again.

        Args:
            rows: a score each.
            per_image: agreement by image, a column a task.
        """
        last = {task: i for i, task in enumerate(rows["task"])}
        found = []
        for i, row in enumerate(rows.to_dict("records")):
            column = per_image.get(row["task"])
            measured = np.zeros(0, dtype=np.int64)
            if column is not None and last[row["task"]] == i:
                measured = np.flatnonzero(column.notna().to_numpy())
            values = np.zeros(0) if column is None else column.to_numpy()[measured]
            own: Document = {name: _KINDS.get(name, float)(row[name]) for name in COLUMNS}
            own["kappa"] = None if np.isnan(own["kappa"]) else own["kappa"]
            found.append(
                Score(
                    **own,
                    agreement_n=values.astype(np.float32),
                    rows_n=measured,
                    ids_n=per_image["image_id"].to_numpy(dtype=np.str_)[measured],
                )
            )
        return Scores(found)

    def write_scores(self, scores: Scores, dataset: Dataset) -> None:
        """Add scores; one of the same task, learner and preset is replaced."""
        import pandas as pd

        rows = scores.to_frame()
        rows["kappa"] = rows["kappa"].astype(np.float64)
        key = ["task", "learner", "preset", "precision", "runs"]
        if self.has(SCORES):
            rows = pd.concat([self.table(SCORES), rows], ignore_index=True)
            rows = rows.drop_duplicates(key, keep="last", ignore_index=True)
        self.write_table(SCORES, rows)
        columns: dict[str, Any] = {"image_id": dataset.ids}
        for result in scores:
            column = np.full(len(dataset), np.nan, dtype=np.float32)
            column[result.rows_n] = result.agreement_n
            columns[result.task] = column
        per_image = pd.DataFrame(columns)
        if self.has(PER_IMAGE):
            old = self.table(PER_IMAGE)
            kept = [c for c in old.columns if c not in per_image.columns]
            per_image = pd.concat([per_image, old[kept]], axis=1)
        self.write_table(PER_IMAGE, per_image)
        self.add_numbers({"scores": rows.to_dict("records")})

    # --- split ---

    @property
    def split(self) -> Split | None:
        """The split of the run, or None.

        Raises:
            RunDirError: where a file is damaged.
        """
        if not self.has(ROLES_TABLE):
            return None
        table = self.table(ROLES_TABLE)
        numbers = self.numbers.get("split", self.numbers)
        with self.understood("split", "restore result.json, or split again"):
            ids = table["image_id"].to_numpy(dtype=np.str_)
            target, task = (
                Labeling(name=str(numbers[name]), classes=classes, labels_N=labels, ids_N=ids)
                for name, classes, labels in (
                    ("target", tuple(map(str, numbers["classes"])), _integers(table["y"])),
                    ("task", ("0", "1"), _integers(table["place"])),
                )
            )
            return Split.from_numbers(numbers, target, task, table["role"].to_numpy(np.int8))

    def write_split(self, found: Split, *, added: bool) -> None:
        """Write the split as other tools read it, into `split/`.

        Args:
            found: the split.
            added: whether the run holds other results, too; its numbers then stand under `split`.
        """
        import pandas as pd

        roles = {
            "image_id": found.ids_N,
            "y": found.target.labels_N,
            "place": found.task.labels_N,
            "role": found.role_N.astype(np.int8),
        }
        self.write_table(ROLES_TABLE, pd.DataFrame(roles))
        self.write(METADATA, found.to_frame().to_csv(index=False).encode("utf-8"))
        indices = {name: found.indices(role).tolist() for name, role in ROLES.items()}
        self.write(INDICES, json.dumps(indices, indent=1).encode() + b"\n")
        # As CelebA's readers expect it: image_id, partition (0 train, 1 validation, 2 test).
        partition = found.to_frame()[["img_filename", "split"]]
        partition.columns = pd.Index(["image_id", "partition"])
        self.write(PARTITION, partition.to_csv(index=False).encode("utf-8"))
        self.add_numbers({"split": found.numbers} if added else found.numbers)

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
                joint={n: t["joint"] for n, t in [*tasks.items(), ("label", numbers["label"])]},
                notes=tuple(map(str, numbers.get("notes", ()))),
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
    }


def _integers(column: pd.Series) -> np.ndarray[Any, np.dtype[np.int64]]:
    return column.to_numpy(np.int64)
