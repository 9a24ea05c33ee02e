"""A file of lines, each a JSON object: what other programs read most easily."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from taskdiscovery.loggers.flat import plain
from taskdiscovery.loggers.tracker import Tool, Tracker
from taskdiscovery.runtime.callbacks import JobInfo
from taskdiscovery.store.writing import resources
from taskdiscovery.types import Document

#: where lines go when no place is named.
DEFAULT = "taskdiscovery.jsonl"


class JsonLines(Tracker):
    """Appends a line per event: `event`, `time` (seconds since 1970), `command`, `run`, and its
    numbers. A line is written whole, and at once.

    Args:
        path: of the file.
        job: that is kept.
    """

    def __init__(self, path: Path, job: JobInfo) -> None:
        self._path = path
        self._same: Document = {"command": job.command}
        if job.run is not None:
            self._same["run"] = str(job.run)
        self.told("start", {"config": dict(job.config)})

    def told(self, event: str, document: Document) -> None:
        """Append a line."""
        line = {"event": event, "time": round(time.time(), 3), **self._same, **document}
        with self._path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(json.dumps(plain(line), ensure_ascii=False) + "\n")

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """They stand in the event's own line."""

    def result(self, values: Mapping[str, float], words: str) -> None:
        """It stands in the event's own line."""

    def close(self, state: str, reason: str) -> None:
        """Append the last line."""
        self.told("end", {"state": state, "reason": reason})


def tool(where: str) -> Tool:
    """Return what appends to a file.

    Args:
        where: path of the file.

    Raises:
        ResourceError: where it cannot be written.
    """
    path = Path(where or DEFAULT).absolute()
    with resources(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a", encoding="utf-8").close()
    return Tool(name="jsonl", open=lambda job: JsonLines(path, job))
