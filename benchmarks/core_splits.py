"""Adversarial splits of CIFAR-10: seven core human tasks and the ten-way one, with all controls.

The core tasks are those of Atanov et al.: numbers 0, 11, 18, 27, 31, 38 and 40 of
`itertools.combinations(range(10), 5)`.

    python -m benchmarks.core_splits parquet:train.parquet --from RUN --json
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

import numpy as np

import taskdiscovery as td
from benchmarks import human
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver, save


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The rows, and the mean accuracy under each name over the binary targets."""
    binary = [row["accuracy"] for row in rows if row["target"] != "label"]
    names = binary[0] if binary else ()
    means = {
        name: round(float(np.mean([row[name]["mean"] for row in binary])), 4) for name in names
    }
    return {"mean_of_core_tasks": means, "rows": rows}


def main() -> None:
    """Split for each target, print each row as it is done, then the means."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--from", dest="source", required=True, metavar="RUN")
    parser.add_argument("--learner", default="convnet")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--transfer", default="")
    parser.add_argument("--search", action="store_true", help="look for the worst split")
    parser.add_argument("--class-balanced", action=argparse.BooleanOptionalAction, default=None)
    parser.add_argument("--targets", default="", help="numbers of the core tasks, and `label`")
    add_output(parser)
    options = parser.parse_args()
    own_process(None)
    dataset = td.load(options.data)
    names = options.targets.split(",") if options.targets else [*map(str, human.CORE), "label"]
    rows: list[dict[str, Any]] = []
    setting = {"runs": options.runs, "learner": options.learner}
    setting |= {"train_images": options.train_images, "environment": about()}
    for name in names:
        target = "label" if name == "label" else human.target(int(name))
        began = time.perf_counter()
        # In memory only: the run keeps the split that its owner made.
        result = td.split(
            dataset,
            target,
            options.source,
            learner=options.learner,
            runs=options.runs,
            train_images=options.train_images,
            transfer=list(filter(None, options.transfer.split(";"))),
            search=options.search,
            class_balanced=options.class_balanced,
        ).numbers
        row = {key: result[key] for key in ("target", "task", "orientation", "accuracy")}
        row |= {"near_duplicates": result["near_duplicates"]["count"]}
        row |= {"transfer": result["transfer"], "where_runs_agree": result["where_runs_agree"]}
        row |= {"seconds": round(time.perf_counter() - began, 1)}
        rows.append(row)
        figures = {name: round(i["mean"], 3) for name, i in row["accuracy"].items()}
        print(target, row["task"], figures, f"{row['seconds']:.0f} s", file=sys.stderr, flush=True)
        document = summary(rows) | setting
        save(document, options.out)  # after each row: a target takes minutes
    deliver(document, options)
    if not options.json:
        print(document["mean_of_core_tasks"])


if __name__ == "__main__":
    main()
