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
#: of an audit: what it found, as a document, a table and a page; the labelings that it looked at.
AUDIT, CUES, AUDIT_PAGE, TARGETS = "audit.json", "cues.csv", "audit.html", "targets.parquet"
#: of an estimate: every figure, as a document, and its page.
ESTIMATE, ESTIMATE_PAGE = "estimate.json", "estimate.html"
#: images of an audit's cues, a CSV each, and the split that follows from the strongest.
CUE_IMAGES = "images"
ALIGNED, CONFLICT, CUE_SPLIT = "aligned", "conflict", "images/split.csv"

#: the run of baselines that are being trained, in the folder of their benchmark.
WORK = ".baselines"

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
_AUDIT_AGAIN = "audit again: taskdiscovery audit DATA, with another --out"
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
    AUDIT: _AUDIT_AGAIN,
    CUES: _AUDIT_AGAIN,
    TARGETS: _AUDIT_AGAIN,
    f"{CUE_IMAGES}/{ALIGNED}-VIEW.csv": _AUDIT_AGAIN,
    f"{CUE_IMAGES}/{CONFLICT}-VIEW.csv": _AUDIT_AGAIN,
    CUE_SPLIT: _AUDIT_AGAIN,
    ESTIMATE: "estimate again: taskdiscovery estimate DATA --on DATA2, with another --out",
    AUDIT_PAGE: "write it again: taskdiscovery report RUN",
    ESTIMATE_PAGE: "write it again: taskdiscovery report RUN",
}


def remedy_of(file: str) -> str:
    """Say how a file of results can be had again; by its path within the run directory."""
    kind, _, rest = file.partition("/")
    known = f"{kind}/NAME/{rest.rpartition('/')[2]}" if kind in FILES else file
    if kind == CUE_IMAGES and known not in REMEDIES:
        known = f"{kind}/{rest.partition('-')[0]}-VIEW.csv"
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


def cue_names(cues: Iterable[tuple[str, str]]) -> list[str]:
    """Name the files of cues by their views, and by their targets where there are several.

    Args:
        cues: target and view of each.

    Returns:
        A name each, no two alike.
    """
    pairs = list(cues)
    several = len({target for target, _ in pairs}) > 1
    found: list[str] = []
    for target, view in pairs:
        stem = name = _slug(f"{target}-{view}" if several else view)
        number = 1
        while is_taken(name, found):
            number += 1
            name = f"{stem}.{number}"
        found.append(name)
    return found


def _slug(text: str) -> str:
    """Return a text with `-` for what no name may have."""
    words = re.sub(r"[^A-Za-z0-9._]+", "-", text)[:60].strip("-._")
    return words or "labels"
