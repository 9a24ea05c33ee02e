"""Manifests: the size and SHA-256 of each file of a directory. Writing one is the commit.

A manifest is written last, when all that it names is on disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from taskdiscovery.store.writing import write_json

NAME = "manifest.json"
FORMAT = 1


def entry(path: Path) -> dict[str, Any]:
    """Return the size and SHA-256 of a file."""
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a directory's manifest, by relative path; empty where there is none.

    Raises:
        ValueError: where the manifest is damaged.
        OSError: where it cannot be read.
    """
    file = folder / NAME
    if not file.exists():
        return {}
    document = json.loads(file.read_text("utf-8"))
    if not isinstance(document, dict) or not isinstance(document.get("files"), dict):
        raise ValueError("the manifest lists no files")
    return {str(k): dict(v) for k, v in document["files"].items()}


def write(folder: Path, files: Iterable[str]) -> None:
    """Enter files, by relative path, in the manifest, keeping the entries of the others."""
    try:
        entries = read(folder)
    except Exception:  # a damaged one is replaced by what can be known now
        entries = {}
    entries |= {name: entry(folder / name) for name in files}
    kept = {name: entries[name] for name in sorted(entries) if (folder / name).exists()}
    write_json(folder / NAME, {"format": FORMAT, "files": kept})


def problem(folder: Path, name: str, entries: dict[str, dict[str, Any]]) -> str | None:
    """Say what is wrong with one file; None where it is as the manifest says, or not named."""
    expected = entries.get(name)
    if expected is None:
        return None
    try:
        found = entry(folder / name)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"unreadable: {error.strerror}"
    if found["bytes"] != expected.get("bytes"):
        return f"{found['bytes']} bytes in place of {expected.get('bytes')}"
    return None if found["sha256"] == expected.get("sha256") else "changed: its SHA-256 differs"
