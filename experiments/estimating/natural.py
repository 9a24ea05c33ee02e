"""A shift that nobody made: Biased Action Recognition, trained as published, tested as published.

    python -m experiments.estimating.natural --data parquet:bar/train.parquet \
        --other parquet:bar/test.parquet --learner convnet --work DIR

In BAR's training images an action goes with its place, and in its test images it does not. Tasks
for the range are searched for by `power` on the training images.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

from benchmarks.machine import own_process

import taskdiscovery as td

SIDE, TASKS = 64, 8
SEEDS = (0, 1, 2)
#: of few images, so many epochs in small batches.
TRAINING: dict[str, Any] = {"epochs": 15, "batch": 64, "runs": 3, "size": SIDE}


def main() -> None:
    """Estimate the accuracy on the test images, by three seeds; what is known is not done again."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.estimating.natural", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", required=True, help="BAR's training images")
    parser.add_argument("--other", required=True, help="its test images")
    parser.add_argument("--learner", default="mlp")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/experiments/estimating"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    own_process(options.threads)
    tasks = options.work / "discover bar"
    if not (tasks / "result.json").exists():
        search: dict[str, Any] = {"method": "power", "learner": "mlp", "tasks": TASKS}
        td.discover(
            options.data, **search, size=SIDE, threads=options.threads, out=tasks, callbacks=()
        )
    for seed in SEEDS:
        file = options.work / "answers" / f"natural {options.learner} {seed}.json"
        if file.exists():
            continue
        found = td.estimate(
            options.data,
            "label",
            on=options.other,
            tasks=tasks,
            learner=options.learner,
            seed=seed,
            threads=options.threads,
            callbacks=(),
            **TRAINING,
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found.numbers, default=str), encoding="utf-8")
        print(found, found.truth, flush=True)


if __name__ == "__main__":
    main()
