"""Do scores of runs that end early rank tasks as scores of whole runs do, and what do they cost?

Forty labelings of every kind: human ones, tasks of a run of `discover`, spectral ones, some of
these with a share of their labels flipped, random ones. Each is scored twice: with `early`, and
without.

    python -m benchmarks.early parquet:train.parquet --from RUN --json
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import taskdiscovery as td
from taskdiscovery import partition
from taskdiscovery.config import ScoreConfig
from taskdiscovery.inputs import load_tasks
from taskdiscovery.rundir import environment
from taskdiscovery.scoring import score
from taskdiscovery.types import BoolArray, Dataset, IntArray, Target

HUMAN = (0, 11, 18, 27, 31, 38, 40, 55, 90, 120)
FLIPS = (0.02, 0.05, 0.1, 0.2, 0.35)


def labelings(dataset: Dataset, run: Path) -> tuple[list[Target], BoolArray]:
    """Make the labelings, and say which images discovery has seen."""
    tasks = load_tasks(run, dataset)
    assert tasks.train is not None
    assert dataset.labels is not None
    found: dict[str, IntArray] = {}
    groups = list(combinations(range(10), 5))
    for number in HUMAN:
        found[f"human {number}"] = np.isin(dataset.labels, groups[number]).astype(np.int64)
    for d in range(0, min(16, len(tasks)), 2):
        found[f"power {d}"] = tasks.labels[:, d]
    options: dict[str, Any] = {"method": "spectral", "tasks": 8, "train_images": 5000}
    spectral = td.discover(dataset, **options).tasks
    for d in (0, 3, 6, 7):
        found[f"spectral {d}"] = spectral.labels[:, d]
    rng = np.random.default_rng(1)
    for name in ("human 0", "power 0", "power 6", "spectral 0"):
        for share in FLIPS[name in ("human 0", "spectral 0") :]:
            flipped = rng.random(len(dataset)) < share
            found[f"{name}, {share:.0%} flipped"] = np.where(flipped, 1 - found[name], found[name])
    found["random"] = rng.permutation(found["human 0"])
    found["random, 30%"] = (rng.random(len(dataset)) < 0.3).astype(np.int64)
    targets = [Target(name=n, labels=y, classes=("0", "1")) for n, y in found.items()]
    train = partition.draw(len(dataset), 0)
    return targets, train & tasks.train


def main() -> None:
    """Score, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--from", dest="run", type=Path, required=True, help="a run of discover")
    parser.add_argument("--train-images", type=int, default=None)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path, default=None, help="a JSON file for the document")
    options = parser.parse_args()
    dataset = td.load(options.data)
    targets, train = labelings(dataset, options.run)
    scores: dict[bool, list[float]] = {}
    seconds: dict[bool, float] = {}
    for early in (True, False):
        began = time.perf_counter()
        config = ScoreConfig(early=early, train_images=options.train_images)
        scores[early] = [s.agreement for s in score(dataset, targets, config, train=train)]
        seconds[early] = time.perf_counter() - began
    document = {
        "labelings": len(targets),
        "spearman": round(float(spearmanr(scores[True], scores[False]).statistic), 4),
        "cost": round(seconds[True] / seconds[False], 3),
        "seconds": {"early": round(seconds[True], 1), "whole": round(seconds[False], 1)},
        "rows": [
            {"task": t.name, "early": round(a, 4), "whole": round(b, 4)}
            for t, a, b in zip(targets, scores[True], scores[False], strict=True)
        ],
        "environment": environment(),
    }
    if options.out is not None:
        options.out.write_text(json.dumps(document, indent=1) + "\n")
    if options.json:
        print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
