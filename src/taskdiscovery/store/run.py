"""What stands in a run directory: its results and their columns; where they lie, says `layout`.

A job writes its values here, and `open_run` gives the same values back. What there are several of,
scores, splits and comparisons, stands in `named`.

Axes: N images, D tasks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config import Network
from taskdiscovery.data.readers.arrays import digests
from taskdiscovery.store import audited, manifest
from taskdiscovery.store.files import RESULT
from taskdiscovery.store.layout import (
    ALIGNED,
    ASSOCIATIONS,
    AUDIT,
    AUDIT_PAGE,
    COMPARISONS,
    CONFLICT,
    COORDINATES,
    CUE_IMAGES,
    CUE_SPLIT,
    CUES,
    ENCODER,
    ESTIMATE,
    ESTIMATE_PAGE,
    FILES,
    IMAGES,
    PER_IMAGE,
    PROBES,
    REPORT,
    ROLES_TABLE,
    SCORES,
    SPLITS,
    TARGETS,
    TASKS,
    remedy_of,
)
from taskdiscovery.store.named import NamedResults
from taskdiscovery.store.writing import json_bytes
from taskdiscovery.types import Audit, Dataset, Document, Estimate, Evidence, Labeling, Name, Tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder

#: files of results that there is one of.
_ALONE = (
    *(ENCODER, TASKS, COORDINATES, IMAGES, ASSOCIATIONS, PROBES, REPORT),
    *(AUDIT, CUES, TARGETS, AUDIT_PAGE, CUE_SPLIT, ESTIMATE, ESTIMATE_PAGE),
)


class Run(NamedResults):
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

        own = {SCORES, SPLITS, COMPARISONS, "analysis", "data", "options", "hardware"}
        return Discovery(
            tasks=self.tasks,
            encoder=self.encoder,
            numbers={k: v for k, v in self.numbers.items() if k not in own},
            config={k: v for k, v in self.config.items() if k not in ("format", "command")},
            fingerprint=self.fingerprint,
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the course of the search, as `metrics.jsonl` tells of it: of each power iteration,
        or of each outer step of a search by meta-gradients.

        Args:
            ax: axes of matplotlib to draw on; by default those of a new figure.

        Returns:
            The axes.

        Raises:
            ConfigError: for a search without iterations, or where matplotlib is not installed.
        """
        from taskdiscovery.plots import draw_course

        return draw_course(self.metrics(), ax)

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

    # --- all of it ---

    def remove_whole(self) -> None:
        """Remove the run and all that its jobs wrote, and nothing that somebody else put there."""
        for kind in FILES:
            for name in self.names(kind):
                self.drop(kind, name)
        of_cues = self.place.inside(CUE_IMAGES)
        for file in of_cues.names():
            if file.startswith((f"{ALIGNED}-", f"{CONFLICT}-")) and file.endswith(".csv"):
                of_cues.remove(file)
        for file in (*_ALONE, RESULT, manifest.NAME):
            self.place.remove(file)
        of_cues.remove_itself()
        self.discard()

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

    # --- audit ---

    @property
    def audit(self) -> Audit | None:
        """What the audit of the run found, or None. Cues that are not present have no rows.

        Raises:
            RunDirError: where a file is damaged.
        """
        return None if "audit" not in self.numbers else audited.read(self)[0]

    @property
    def audited(self) -> list[Labeling]:
        """The labelings that the audit of the run looked at; empty where there is none.

        Raises:
            RunDirError: where a file is damaged.
        """
        return [] if "audit" not in self.numbers else audited.read(self)[1]

    def write_audit(self, found: Audit, labelings: Sequence[Labeling]) -> None:
        """Write what an audit found, the images of its cues, and its headline numbers."""
        audited.write(self, found, labelings)

    def write_audit_page(self, page: str) -> Path:
        """Write the page of an audit, and return its path; it counts once it is committed."""
        self.write(AUDIT_PAGE, page.encode("utf-8", "backslashreplace"))
        return self.path / AUDIT_PAGE

    # --- estimate ---

    @property
    def estimate(self) -> Estimate | None:
        """The accuracy on unlabelled images that the run tells, or None.

        Raises:
            RunDirError: where a file is damaged.
        """
        if "estimate" not in self.numbers:
            return None
        content = self.content(ESTIMATE)
        with self.understood(ESTIMATE, remedy_of(ESTIMATE)):
            if len(content) > audited.MOST:
                raise ValueError(f"it has more than {audited.MOST:,} bytes")
            return Estimate.from_numbers(json.loads(content.decode("utf-8")))

    def write_estimate(self, found: Estimate) -> None:
        """Write an estimate, and its headline numbers."""
        self.write(ESTIMATE, json_bytes(found.numbers))
        self.add_numbers({"estimate": found.headline})

    def write_estimate_page(self, page: str) -> Path:
        """Write the page of an estimate, and return its path; it counts once it is committed."""
        self.write(ESTIMATE_PAGE, page.encode("utf-8", "backslashreplace"))
        return self.path / ESTIMATE_PAGE

    # --- report ---

    def write_report(self, page: str) -> Path:
        """Write and commit the report, and return its path."""
        self.write(REPORT, page.encode("utf-8", "backslashreplace"))
        self.commit()
        return self.path / REPORT


def described(dataset: Dataset) -> Document:
    """Return what `result.json` says of the data."""
    found: Document = {
        "name": dataset.name,
        "images": len(dataset),
        "fingerprint": dataset.fingerprint,
        "range": None if dataset.range is None else list(dataset.range),
        "target": dataset.half_of_classes(),
    }
    if dataset.groups is not None:
        found["groups"] = {
            "column": dataset.grouped_by or None,
            "groups": len(np.unique(dataset.groups[dataset.groups != ""])),
            "images_without": int((dataset.groups == "").sum()),
        }
    if dataset.train_N is not None:
        found["partition"] = {
            "from": dataset.test or None,
            "train": int(dataset.train_N.sum()),
            "test": int((~dataset.train_N).sum()),
        }
    return found
