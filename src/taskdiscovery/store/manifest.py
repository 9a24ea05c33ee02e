"""Manifests: the size and SHA-256 of each file of a directory. Writing one is the commit.

A manifest is written last, when all that it names is on disk. It names regular files within its own
directory, and is held against that before it is believed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from taskdiscovery.errors import RunDirError
from taskdiscovery.store.place import Place
from taskdiscovery.store.writing import write_json

NAME = "manifest.json"
FORMAT = 1
#: bytes; a manifest has a few hundred for each file.
MOST = 2**22


def entry(place: Place, name: str) -> dict[str, Any]:
    """Return the size and SHA-256 of a file."""
    size, digest = place.digest(name)
    return {"bytes": size, "sha256": digest}


def read(place: Place) -> dict[str, dict[str, Any]]:
    """Return the entries of a directory's manifest, by relative path; empty where there is none.

    Raises:
        ValueError: where the manifest is damaged.
        RunDirError: where it is no regular file.
        OSError: where it cannot be read.
    """
    try:
        document = json.loads(place.read(NAME, most=MOST).decode("utf-8"))
    except FileNotFoundError:
        return {}
    if not isinstance(document, dict) or not isinstance(document.get("files"), dict):
        raise ValueError("the manifest lists no files")
    return {str(k): dict(v) for k, v in document["files"].items()}


def write(place: Place, files: Iterable[str]) -> None:
    """Enter files, by relative path, in the manifest, keeping the entries of the others."""
    try:
        entries = read(place)
    except Exception:  # a damaged one is replaced by what can be known now
        entries = {}
    entries |= {name: entry(place, name) for name in files}
    kept = {name: entries[name] for name in sorted(entries) if _stands(place, name)}
    write_json(place, NAME, {"format": FORMAT, "files": kept})


def problem(place: Place, name: str, entries: dict[str, dict[str, Any]]) -> str | None:
    """Say what is wrong with one file; None where it is as the manifest says, or not named."""
    expected = entries.get(name)
    if expected is None:
        return None
    try:
        size = place.size(name)
        if size != expected.get("bytes"):  # known at once, where hashing takes a while
            return differs(expected, size, "")
        return differs(expected, *place.digest(name))
    except FileNotFoundError:
        return "missing"
    except RunDirError as error:
        return error.what
    except OSError as error:
        return f"unreadable: {error.strerror}"


def measured(content: bytes) -> tuple[int, str]:
    """Return the size of content in bytes, and its SHA-256."""
    return len(content), hashlib.sha256(content).hexdigest()


def differs(expected: dict[str, Any], size: int, digest: str) -> str | None:
    """Say how a file of this size and SHA-256 differs from its entry, or None."""
    if size != expected.get("bytes"):
        return f"{size} bytes in place of {expected.get('bytes')}"
    return None if digest == expected.get("sha256") else "changed: its SHA-256 differs"


def _stands(place: Place, name: str) -> bool:
    try:
        return place.has(name)
    except RunDirError:  # a name that leads out
        return False
