"""The results of jobs in a run directory: writing them, and reading the tasks back."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from taskdiscovery.data.arrays import digests
from taskdiscovery.rundir import RunDir
from taskdiscovery.types import TEST, TRAIN, WITHIN, Dataset, Score, Split, Tasks

if TYPE_CHECKING:
    from taskdiscovery.analysis import Evidence
    from taskdiscovery.discovery import Discovery


def described(dataset: Dataset) -> dict[str, Any]:
    """Return what `result.json` says of the data."""
    return {
        "name": dataset.name,
        "images": len(dataset),
        "fingerprint": dataset.fingerprint,
    }


def write_discovery(run: RunDir, found: Discovery, dataset: Dataset) -> None:
    """Write encoder, tasks, coordinates, who was seen, and the headline numbers."""
    tasks = found.tasks
    assert tasks.coordinates is not None
    assert tasks.train is not None
    run.write("encoder.safetensors", found.encoder.to_bytes())
    table = tasks.to_pandas()
    table[list(tasks.names)] = table[list(tasks.names)].astype(np.uint8)
    run.write_table("tasks.parquet", table)
    per_task = tasks.coordinates.shape[1] // len(tasks)
    columns = [
        name if per_task == 1 else f"{name}_{j}" for name in tasks.names for j in range(per_task)
    ]
    frame = pd.DataFrame(tasks.coordinates, columns=columns)
    frame.insert(0, "image_id", tasks.ids)
    run.write_table("coordinates.parquet", frame)
    own = digests(dataset.images)
    images = pd.DataFrame({"image_id": tasks.ids, "partition": table["partition"], "digest": own})
    run.write_table("images.parquet", images)
    run.add_result({"data": described(dataset), **found.result})


def write_scores(run: RunDir, scores: list[Score], dataset: Dataset) -> None:
    """Add rows to `scores.parquet`; a row of the same task, learner and preset is replaced."""
    rows = pd.DataFrame([score.to_row() for score in scores])
    rows["kappa"] = rows["kappa"].astype(np.float64)
    key = ["task", "learner", "preset", "precision", "runs"]
    if (run.path / "scores.parquet").exists():
        rows = pd.concat([run.table("scores.parquet"), rows], ignore_index=True)
        rows = rows.drop_duplicates(key, keep="last", ignore_index=True)
    run.write_table("scores.parquet", rows)
    per_image = pd.DataFrame({"image_id": dataset.ids})
    for result in scores:
        column = np.full(len(dataset), np.nan, dtype=np.float32)
        column[result.test] = result.per_image
        per_image[result.task] = column
    if (run.path / "per_image.parquet").exists():
        old = run.table("per_image.parquet")
        kept = [c for c in old.columns if c not in per_image.columns]
        per_image = pd.concat([per_image, old[kept]], axis=1)
    run.write_table("per_image.parquet", per_image)
    run.add_result({"scores": rows.to_dict("records")})


def write_split(run: RunDir, found: Split) -> None:
    """Write the split as other tools read it, into `split/`."""
    run.write("split/metadata.csv", found.to_frame().to_csv(index=False).encode("utf-8"))
    names = {"train": TRAIN, "within": WITHIN, "test": TEST}
    indices = {name: found.indices(role).tolist() for name, role in names.items()}
    run.write("split/indices.json", json.dumps(indices, indent=1).encode() + b"\n")
    # As CelebA's readers expect it: image_id, partition (0 train, 1 validation, 2 test).
    partition = found.to_frame()[["img_filename", "split"]]
    partition.columns = pd.Index(["image_id", "partition"])
    run.write("split/list_eval_partition.csv", partition.to_csv(index=False).encode("utf-8"))
    # scikit-learn's PredefinedSplit: -1 is never tested on, 0 is the one test fold.
    fold = np.where(found.role == TEST, 0, -1).astype(np.int64)
    buffer = io.BytesIO()
    np.save(buffer, fold, allow_pickle=False)
    run.write("split/test_fold.npy", buffer.getvalue())


def write_evidence(run: RunDir, found: Evidence) -> None:
    """Write the tables of evidence, and its headline numbers."""
    run.write_table("associations.parquet", found.associations)
    run.write_table("probes.parquet", found.probes)
    run.add_result({"analysis": found.result})


def stored_tasks(run: RunDir, dataset: Dataset) -> Tasks:
    """Read the tasks of a run on the very data that they were discovered on.

    Raises:
        RunDirError: where a file is missing or damaged.
    """
    table, coordinates = run.table("tasks.parquet"), run.table("coordinates.parquet")
    names = tuple(c for c in table.columns if c.startswith("task_"))
    classes = int(run.result().get("classes", 2))
    return Tasks(
        labels=table[list(names)].to_numpy(np.int64),
        names=names,
        ids=dataset.ids,
        k=(classes,) * len(names),
        coordinates=coordinates.drop(columns="image_id").to_numpy(np.float32),
        train=(table["partition"] == "train").to_numpy(),
        images=dataset.images,
    )


def seen_images(run: RunDir) -> Any:
    """Return the digests of the images that discovery may have seen.

    Raises:
        RunDirError: where the file is missing or damaged.
    """
    images = run.table("images.parquet")
    return images["digest"].to_numpy()[(images["partition"] == "train").to_numpy()]
