"""Entries of a run: files that are links, pipes, folders, huge, or that are not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import random
import stat
from pathlib import Path

from benchmarks.hostile.arena import LINKED, remove
from benchmarks.hostile.values import ESCAPES

#: what the package looks for or makes, whether or not it is there.
KNOWN = (
    ".lock",
    "metrics.jsonl",
    "checkpoints",
    "checkpoints/000001",
    "checkpoints/000099",
    "checkpoints/.building-000003",
    "checkpoints/.building-old-000001",
    "checkpoints/segments",
    "scores",
    "splits",
    "splits/label",
    "splits/label/roles.parquet",
    "status.json",
    "result.json",
    "manifest.json",
    "environment.json",
    "config.yaml",
    "report.html",
    "scores/tasks/scores.parquet",
    "scores/tasks/per_image.parquet",
    ".config.yaml.0000.tmp",
    ".leftover.tmp",
)
KINDS = ("link", "link", "link", "hard link", "pipe", "folder", "empty", "huge", "gone", "socket")
MANIFEST = "manifest.json"
_HUGE = (2**31, 2**37)
_OWN = 2**26


def change(run: Path, name: str, rng: random.Random, victim: Path, kind: str = "") -> str:
    """Put something else in the place of an entry; say what.

    Args:
        run: of the run directory.
        name: of the entry, which need not be there.
        rng: draws what.
        victim: what links lead to.
        kind: one of `KINDS`; drawn where it is empty.
    """
    place = run / name
    kind = kind or rng.choice(KINDS)
    if not place.parent.is_dir() or place.parent.is_symlink():
        return "no folder for it"
    was_folder = place.is_dir()
    remove(place)
    if kind == "link":
        goal = rng.choice(_goals(place, run, victim, was_folder))
        place.symlink_to(goal)
        return (
            f"link to {os.path.relpath(goal, victim.parent) if goal.startswith('/work') else goal}"
        )
    if kind == "hard link":
        os.link(victim / LINKED, place)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        (place / "a" / "b").mkdir(parents=True)
    elif kind == "empty":
        place.write_bytes(b"")
    elif kind == "huge":
        size = rng.choice(_HUGE)
        with place.open("wb") as stream:
            stream.truncate(size)
        kind = f"huge: {size}"
    elif kind == "socket":
        os.mknod(place, 0o140644)
    return kind


def _goals(place: Path, run: Path, victim: Path, was_folder: bool) -> list[str]:
    """Return what a link may lead to; mostly what would be taken for the entry itself."""
    inside = os.path.relpath(victim, place.parent)
    own = str(place.relative_to(run))
    goals = [
        f"{inside}/file.txt",
        f"{inside}/document.json",
        str(victim / "file.txt"),
        place.name,
        "no/such/file",
        "/dev/zero",
        "/etc/shadow",
        f"{inside}/made-by-the-run",
        os.path.relpath(run / "config.yaml", place.parent),
    ]
    if (victim / own).exists():
        goals += [f"{inside}/{own}"] * 6
    if was_folder or "." not in place.name[1:]:
        goals += [inside, f"{inside}/checkpoints", str(victim / "checkpoints"), "..", "."]
    return goals


def is_own(place: Path) -> bool:
    """Say whether a file may be changed here: it is regular, not large, and nobody else's."""
    try:
        seen = place.lstat()
    except OSError:
        return False
    return stat.S_ISREG(seen.st_mode) and seen.st_nlink == 1 and seen.st_size < _OWN


def add_names(run: Path, rng: random.Random) -> str:
    """Put files of odd names into a run."""
    name = rng.choice([text.replace("\x00", "") for text in ESCAPES] + ["x" * 250, "\udcff", "-rf"])
    place = rng.choice((run, run / "checkpoints", run / "splits" / "label"))
    place = place if place.is_dir() else run
    (place / name).write_text("x")
    return f"a file {name!r:.40}"


def refit(run: Path, name: str) -> None:
    """Let the manifest beside a file, and those above it, say what the file is now."""
    place = run / name
    for folder in [*place.parents][: len(Path(name).parts)]:
        manifest, own = folder / MANIFEST, str(place.relative_to(folder))
        if place == manifest or not is_own(manifest):
            continue
        try:
            document = json.loads(manifest.read_text("utf-8"))
            known = document["files"]
            if own in known and place.is_file():
                known[own] = {**known[own], **_entry(place)}
                manifest.write_text(json.dumps(document), "utf-8")
        except (OSError, ValueError, TypeError, KeyError, RecursionError):  # mutated before
            continue


def _entry(place: Path) -> dict[str, object]:
    size = place.stat().st_size
    if size > _OWN or not stat.S_ISREG(place.stat().st_mode):
        return {"bytes": size}
    return {"bytes": size, "sha256": hashlib.sha256(place.read_bytes()).hexdigest()}


def name_in_manifest(run: Path, named: str) -> str:
    """Let the manifest of a run name something else."""
    file = run / MANIFEST
    if not is_own(file):
        return "no manifest"
    try:
        document = json.loads(file.read_text("utf-8"))
        document["files"][named] = {"bytes": 0, "sha256": "0" * 64}
        file.write_text(json.dumps(document), "utf-8", "backslashreplace")
    except (OSError, ValueError, TypeError, KeyError):
        return "no manifest"
    return f"the manifest names {named!r:.60}"
