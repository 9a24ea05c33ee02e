"""Which processes a process has started, as Linux tells."""

from __future__ import annotations

import contextlib
from pathlib import Path


def parents() -> dict[int, int]:
    """Return the parent of every process of this machine."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            # The name, in parentheses, may hold spaces.
            found[int(place.parent.name)] = int(place.read_text().rpartition(")")[2].split()[1])
    return found


def descendants(pid: int) -> list[int]:
    """Return all processes that a process has started, and those that these have."""
    known, found = parents(), [pid]
    for one in found:
        found.extend(child for child, parent in known.items() if parent == one)
    return found[1:]


def command_of(pid: int) -> str:
    """Return the command line of a process; empty where it has ended."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""
