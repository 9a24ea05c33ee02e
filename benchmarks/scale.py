"""How the work spreads: one worker against two, on this machine, start-up aside.

Ray: nodes of one processor each, simulated by Ray's own cluster utility; every worker has one
thread and has trained once before the clock starts. `torchrun`: ranks of one thread each, seconds
of a `meta` outer step. The rows of all are compared with those of one process.

    python -m benchmarks.scale parquet:train.parquet --json
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import taskdiscovery as td
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver, plain, told
from taskdiscovery.store import Run
from taskdiscovery.types import Dataset, Scores

COLUMNS = ["task", "agreement", "low", "high", "kappa", "accuracy"]


TARGET = "label:0,1,2,3,4"


def scores(dataset: Dataset, options: dict[str, Any]) -> tuple[Scores, float]:
    """Score one labeling and its random control; return the rows and the seconds."""
    began = time.perf_counter()
    found = td.score(dataset, TARGET, **options)
    return found, time.perf_counter() - began


def on_nodes(count: int, dataset: Dataset, options: dict[str, Any]) -> tuple[Scores, float]:
    """The same on so many simulated nodes."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        try:
            # Workers start, import torch and train once; the score that is timed finds them ready.
            scores(dataset, {**options, "epochs": 1, "executor": "ray"})
            return scores(dataset, {**options, "executor": "ray"})
        finally:
            ray.shutdown()
    finally:
        cluster.shutdown()


def outer_step(count: int, data: str) -> float:
    """Return the median seconds of an outer step of `meta` with two tasks, on so many ranks."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        job = ["discover", data, "--method", "meta", "--tasks", "8", "--tasks-per-step", "2"]
        job += ["--outer-steps", "8", "--inner-steps", "10", "--inner-batch", "128", "--memory"]
        job += ["graphs", "--threads", "1", "--train-images", "5000", "--out", str(place)]
        torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", str(count)]
        start = torchrun if count > 1 else []
        subprocess.run(
            [sys.executable, *start, "-m", "taskdiscovery", *job],
            check=True,
            capture_output=True,
        )
        seconds = [row["seconds"] for row in Run.open(place).metrics() if "step" in row]
        return float(np.median(seconds[1:]))


def measure(name: str, dataset: Dataset, options: dict[str, Any]) -> dict[str, Any]:
    """Compare one process, one node and two nodes."""
    serial, alone = scores(dataset, {**options, "executor": "serial"})
    one, of_one = on_nodes(1, dataset, options)
    two, of_two = on_nodes(2, dataset, options)
    rows = [found.to_frame()[COLUMNS] for found in (serial, one, two)]
    return {
        "data": plain(name),
        "trainings": 2 * options["runs"],
        "serial_seconds": round(alone, 2),
        "one_worker_seconds": round(of_one, 2),
        "two_workers_seconds": round(of_two, 2),
        "ratio": round(of_two / of_one, 3),
        "rows_equal": all(rows[0].equals(other) for other in rows[1:]),
    }


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--images", type=int, default=5000, help="training images")
    add_output(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    own_process(1)
    common = {"preset": "quick", "threads": 1, "runs": 4}
    few = {"train_images": options.images, "test_images": 2000, "epochs": 3}
    cases = [
        ("digits", td.load("digits"), {**common, "epochs": 60}),
        (options.data, td.load(options.data), {**common, **few}),
    ]
    rows = told(measure(*case) for case in cases)
    steps = [outer_step(count, options.data) for count in (1, 2)]
    document = {
        "ray": rows,
        "ranks": {
            "one_rank_seconds": round(steps[0], 3),
            "two_ranks_seconds": round(steps[1], 3),
            "ratio": round(steps[1] / steps[0], 3),
        },
        "environment": about(),
    }
    deliver(document, options)


if __name__ == "__main__":
    main()
