"""Dated result files: where they are, how one is written, which is the newest."""

from __future__ import annotations

import datetime
import json
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks import provenance

Row = dict[str, Any]

RESULTS = Path(__file__).with_name("results")
#: those of the benchmarks, two of which the page also tells of.
BENCHMARKS = RESULTS.parents[1] / "benchmarks" / "results"


def today() -> str:
    """Return the date, in UTC."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def result_path(name: str, learner: str, suffix: str) -> Path:
    """Return the path of today's result of an experiment; its directory exists."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    word = learner.translate(str.maketrans("?&", "--", "="))
    return RESULTS / f"{today()}-{name}-{word}.{suffix}"


def record(name: str, document: Row, began: float) -> Path:
    """Write a dated result with what it came from; one file for each experiment and learner."""
    place = result_path(name, document["learner"], "json")
    about: Row = {"experiment": name, "date": today(), "environment": provenance.about()}
    about["sitting_seconds"] = round(time.perf_counter() - began, 1)
    provenance.save({**about, **document}, place)
    return place


def newest() -> dict[str, dict[str, Row]]:
    """Return the newest result of every experiment and learner, with the name of its file."""
    found: dict[str, dict[str, Row]] = {}
    for file in sorted(RESULTS.glob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        document["file"] = file.name
        found.setdefault(document["experiment"], {})[document["learner"]] = document
    return found


def benchmark(name: str) -> Row | None:
    """Return the newest result of a benchmark, with the name of its file; None if it has none."""
    files = sorted(BENCHMARKS.glob(f"*-{name}.json"))
    if not files:
        return None
    document: Row = json.loads(files[-1].read_text("utf-8"))
    return {**document, "file": files[-1].name}


def landed(place: Path) -> str:
    """Return the commit that added a file."""
    done = subprocess.run(
        ["git", "log", "--diff-filter=A", "-1", "--format=%h", "--abbrev=12", "--", place.name],
        cwd=place.parent,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()
