"""Where each file of a run lies, how it can be had again, and what scores and splits are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

ENCODER = "encoder.safetensors"
TASKS = "tasks.parquet"
COORDINATES = "coordinates.parquet"
IMAGES = "images.parquet"
ASSOCIATIONS = "associations.parquet"
PROBES = "probes.parquet"
REPORT = "report.html"

#: folders of what a run holds several of, each under a name of its own.
SCORES, SPLITS = "scores", "splits"
#: what a comparison is kept under in `result.json`.
COMPARISONS = "comparisons"
#: files of each score.
TABLE, PER_IMAGE = "scores.parquet", "per_image.parquet"
#: files of each split.
ROLES_TABLE, METADATA = "roles.parquet", "metadata.csv"
INDICES, PARTITION = "indices.json", "list_eval_partition.csv"
FILES = {
    SCORES: (TABLE, PER_IMAGE),
    SPLITS: (ROLES_TABLE, METADATA, INDICES, PARTITION),
}

_AGAIN = {
    SCORES: "score again: taskdiscovery score --from RUN",
    SPLITS: "split again: taskdiscovery split --target SPEC --from RUN",
}
#: how each file of results can be had again where it is damaged; NAME stands for any name.
REMEDIES = {
    ENCODER: "discover again; the tasks of this data can be used without it",
    TASKS: "label the data again: taskdiscovery label RUN DATA",
    COORDINATES: "discover again; tasks and encoder can be used without it",
    IMAGES: "discover again, or use the run on its own data only",
    **{f"{kind}/NAME/{file}": _AGAIN[kind] for kind, files in FILES.items() for file in files},
    ASSOCIATIONS: "measure again: taskdiscovery analyze RUN",
    PROBES: "measure again: taskdiscovery analyze RUN",
    REPORT: "write it again: taskdiscovery report RUN",
}


def remedy_of(file: str) -> str:
    """Say how a file of results can be had again; by its path within the run directory."""
    kind, _, rest = file.partition("/")
    known = f"{kind}/NAME/{rest.rpartition('/')[2]}" if kind in FILES else file
    return REMEDIES.get(known, "run the job that wrote it again")


# --- names ---


def is_taken(name: str, known: Iterable[str]) -> bool:
    """Say whether a name is among those known; some systems take `a` and `A` for one folder."""
    return name.casefold() in {one.casefold() for one in known}


def free_name(what: str, learner: str, known: Mapping[str, str]) -> str:
    """Name a new score or split by what it is of, so that it replaces none.

    Args:
        what: the labeling, e.g. `label:0,1`.
        learner: that is trained.
        known: the names that are taken, with their learners.

    Returns:
        `label-0-1`; `label-0-1-mlp` where that is taken by another learner's; numbered where there
        is one of the same learner.
    """
    stem = _slug(what)
    taken = next(
        (own for name, own in known.items() if name.casefold() == stem.casefold()), learner
    )
    if taken != learner:
        stem = f"{stem}-{_slug(learner)}"[:72]
    name, number = stem, 1
    while is_taken(name, known):
        number += 1
        name = f"{stem}.{number}"
    return name


def _slug(text: str) -> str:
    """Return a text with `-` for what no name may have."""
    words = re.sub(r"[^A-Za-z0-9._]+", "-", text)[:60].strip("-._")
    return words or "labels"
