"""What a job's memory costs: the time that goes into committing finished pieces of work.

Two parts. First, commits alone: a journal is given labelings one by one (records as `score` makes
them: two trainings and a score), and the time of each is taken. Then a real `score` of so many
random labelings with a run directory, with the time in `Journal.put` beside that of the whole job.

A commit that writes whatever is finished makes the first grow with the number of labelings, and the
share of a job's time, too.

    python -m benchmarks.journal --json
    python -m benchmarks.journal --job 2000 --learner linear --preset smoke --json
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import taskdiscovery as td
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.store import Checkpoints
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import Record

HELD = 180  # test images of the digits
SIZES = (100, 500, 1000, 2000)
_ROW = {
    "task": "labeling_00000",
    "learner": "convnet",
    "preset": "quick",
    "precision": "float32",
    "runs": 2,
    "agreement": 0.5123456789012345,
    "low": 0.4123456789012345,
    "high": 0.6123456789012345,
    "covers": "images",
    "chance": 0.5012345678901234,
    "kappa": 0.0212345678901234,
    "rate": 0.5111111111111111,
    "accuracy": 0.5055555555555555,
    "failed": 0,
    "seconds": 1.23,
}


def score_of(held: int) -> Record:
    """Return what the journal keeps of a finished score."""
    return Record(values=_ROW, arrays={"per_image": np.full(held, 0.5, np.float32)})


def run_of(held: int) -> Record:
    """Return what the journal keeps of a training whose score is not finished."""
    return Record(arrays={"predicted": np.zeros(held, np.int64)})


def commits(sizes: Sequence[int], held: int) -> Iterator[dict[str, Any]]:
    """Enter labelings one by one, two trainings and a score each, as `score` does.

    Args:
        sizes: of how many finished ones to tell, rising.
        held: test images.

    Yields:
        For each size the median seconds of the ten labelings before, of all until then, and the
        bytes on disk.
    """
    with tempfile.TemporaryDirectory(prefix="journal-") as place:
        folder = Path(place) / "checkpoints"
        journal = Journal(Checkpoints(folder))
        seconds: list[float] = []
        for n in range(max(sizes, default=0)):
            key, began = f"score {n} labeling_{n:05d}", time.perf_counter()
            journal.put(f"{key}/run 0", run_of(held))
            journal.put(f"{key}/run 1", run_of(held))
            journal.put(key, score_of(held), forget=f"{key}/")
            seconds.append(time.perf_counter() - began)
            if len(seconds) in sizes:
                yield {
                    "finished": len(seconds),
                    "held": held,
                    "milliseconds_a_labeling": round(1000 * statistics.median(seconds[-10:]), 1),
                    "seconds_until_now": round(sum(seconds), 1),
                    "bytes_on_disk": sum(
                        f.stat().st_size for f in folder.rglob("*") if f.is_file()
                    ),
                }


@contextmanager
def timed(kind: Any, name: str, spent: list[float]) -> Iterator[None]:
    """Note how long every call of a method takes."""
    method = getattr(kind, name)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            spent.append(time.perf_counter() - began)

    setattr(kind, name, wrapped)
    try:
        yield
    finally:
        setattr(kind, name, method)


def job(labelings: int, learner: str, preset: str, runs: int) -> dict[str, Any]:
    """Score so many random labelings of the digits, and say where the time went."""
    digits = td.load("digits")
    labels = np.random.default_rng(0).integers(0, 2, (len(digits), labelings))
    puts: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="journal-") as place,
        timed(Journal, "put", puts),
    ):
        began = time.perf_counter()
        how: dict[str, Any] = {"executor": "serial", "threads": 1, "callbacks": ()}
        out = Path(place) / "run"
        td.score(digits, labels, learner=learner, preset=preset, runs=runs, out=out, **how)
        whole = time.perf_counter() - began
    committing = sum(puts)
    return {
        "labelings": labelings,
        "learner": learner,
        "preset": preset,
        "runs": runs,
        "seconds": round(whole, 1),
        "commits": len(puts),
        "seconds_committing": round(committing, 1),
        "share": round(committing / whole, 3),
        "milliseconds_first": round(1000 * statistics.median(puts[:150]), 2),
        "milliseconds_last": round(1000 * statistics.median(puts[-150:]), 2),
        "training_per_labeling": round((whole - committing) / labelings, 3),
    }


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.journal", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--held", type=int, nargs="*", default=[HELD], help="test images")
    parser.add_argument("--job", type=int, nargs="*", default=[], help="labelings of real jobs")
    parser.add_argument("--learner", default="linear")
    parser.add_argument("--preset", default="smoke")
    parser.add_argument("--runs", type=int, default=2)
    add_output(parser)
    options = parser.parse_args()
    own_process(1)
    warnings.simplefilter("ignore")  # pandas has something to say of each column
    entered = told(row for held in options.held for row in commits(options.sizes, held))
    jobs = told(job(n, options.learner, options.preset, options.runs) for n in options.job)
    deliver({"commits": entered, "jobs": jobs, "environment": about()}, options)


if __name__ == "__main__":
    main()
