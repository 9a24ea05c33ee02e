"""Do scores of runs that end early rank tasks as scores of whole runs do, and what do they cost?

Forty-two labelings of every kind: human ones, tasks of a run of `discover`, spectral ones, some of
these with a share of their labels flipped, random ones; two runs each. A run that ends early is the
beginning of the whole run, so each is trained once, whole, and asked at every check on the way.

    python -m benchmarks.early parquet:train.parquet --from RUN --answers DIR --json

The answers are kept in a directory, so that it can be stopped, and shared out: `--part 0/2`.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

import taskdiscovery as td
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver
from taskdiscovery.agreement import agreement
from taskdiscovery.config import ResolvedLearner, TrainingRecipe
from taskdiscovery.data import partition
from taskdiscovery.executors import resolve_precision
from taskdiscovery.jobs.inputs import tasks_of_run
from taskdiscovery.networks import Normalization, build_learner
from taskdiscovery.networks.prediction import calibrate, predict
from taskdiscovery.store import Run
from taskdiscovery.training import Batch, Examples, Steps, cross_entropy, step
from taskdiscovery.training.early import CHECKS, MONITORED, settled
from taskdiscovery.training.state import TrainingState, batches_of
from taskdiscovery.types import BoolArray, Dataset, IntArray

#: checks at which the answers are kept, and the end.
KEPT = (1, 2, 3, 4, 5, 6, CHECKS)
HUMAN = (0, 11, 18, 27, 31, 38, 40, 55, 90, 120)
FLIPS = (0.02, 0.05, 0.1, 0.2, 0.35)


def labelings(dataset: Dataset, run: Path) -> tuple[dict[str, IntArray], BoolArray]:
    """Make the labelings, and say which images discovery has seen."""
    tasks = tasks_of_run(Run.open(run), dataset, {})
    assert tasks.seen_N is not None
    assert dataset.labels is not None
    found: dict[str, IntArray] = {}
    groups = list(combinations(range(10), 5))
    for number in HUMAN:
        found[f"human {number}"] = np.isin(dataset.labels, groups[number]).astype(np.int64)
    for d in range(0, min(16, len(tasks)), 2):
        found[f"power {d}"] = tasks.labels_ND[:, d]
    spectral = td.discover(dataset, method="spectral", tasks=8, train_images=5000).tasks
    for d in (0, 3, 6, 7):
        found[f"spectral {d}"] = spectral.labels_ND[:, d]
    rng = np.random.default_rng(1)
    for name in ("human 0", "power 0", "power 6", "spectral 0"):
        for share in FLIPS[name in ("human 0", "spectral 0") :]:
            flipped = rng.random(len(dataset)) < share
            found[f"{name}, {share:.0%} flipped"] = np.where(flipped, 1 - found[name], found[name])
    found["random"] = rng.permutation(found["human 0"])
    found["random, 30%"] = (rng.random(len(dataset)) < 0.3).astype(np.int64)
    return found, partition.draw(len(dataset), 0) & tasks.seen_N


def answers(
    dataset: Dataset, labels: IntArray, train: BoolArray, learner: ResolvedLearner, run: int
) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """Train one run, whole; yield its answers at the checks that are kept.

    Yields:
        The check, and the classes of the `watched` and of the `test` images.
    """
    fit = partition.sample(np.flatnonzero(train), 15_000, 0, "fit")
    rows = {
        "test": partition.sample(np.flatnonzero(~train), 3000, 0, "held out"),
        "watched": partition.sample(np.setdiff1d(np.flatnonzero(train), fit), MONITORED, 0, "w"),
    }
    images, y = torch.from_numpy(dataset.images), torch.from_numpy(labels[fit])
    order = torch.from_numpy(fit)
    pixels = Normalization.measure(dataset.images, fit)
    model = build_learner(learner, dataset.image_shape, 2, pixels, 1000 + run)
    updates = learner.recipe.epochs * batches_of(learner, len(fit))
    examples = Examples(images, fit, y, cross_entropy)
    state = TrainingState(learner, Steps(learner, model, examples, updates), len(fit), run)
    total, precision = state.batches * learner.recipe.epochs, learner.precision
    while state.epoch < learner.recipe.epochs:
        for chosen in state.permutation.tensor_split(state.batches):
            model.train()
            batch = Batch(images.index_select(0, order[chosen]), y[chosen])
            step(model, batch, cross_entropy, state.optimizer, precision)
            state.batch += 1
            now = state.epoch * state.batches + state.batch
            check = now * CHECKS // total
            if check in KEPT and check != (now - 1) * CHECKS // total:
                asked = copy.deepcopy(model)
                few = np.linspace(0, len(fit) - 1, 1024).astype(np.int64)
                calibrate(asked, images, fit if check == CHECKS else fit[few])
                yield (
                    check,
                    {
                        name: predict(asked, images, r, precision).argmax(dim=1).numpy()
                        for name, r in rows.items()
                    },
                )
        state.next_epoch()


def collect(dataset: Dataset, run: Path, place: Path, part: int, parts: int) -> None:
    """Train what is not there yet, and keep its answers."""
    found, train = labelings(dataset, run)
    precision = resolve_precision("auto", "cpu")
    learner = ResolvedLearner("convnet", TrainingRecipe(), "cpu", precision)
    for name, labels in list(found.items())[part::parts]:
        for number in range(2):
            file = place / f"{name}, run {number}.npz"
            if not file.exists():
                kept = {
                    f"{check} {what}": classes.astype(np.uint8)
                    for check, own in answers(dataset, labels, train, learner, number)
                    for what, classes in own.items()
                }
                np.savez_compressed(file, **kept)  # type: ignore[arg-type]


def ended(known: dict[str, NDArray[Any]]) -> int:
    """Return the check at which the run ends early."""
    agreements: list[float] = []
    for check in KEPT[1:-1]:
        before, now = known[f"{check - 1} watched"], known[f"{check} watched"]
        agreements.append(float((before == now).mean()))
        if settled(check, agreements):
            return check
    return CHECKS


def evaluate(place: Path) -> dict[str, Any]:
    """Compare the scores of runs that end early with those of whole ones."""
    names = sorted({file.name.rpartition(", run")[0] for file in place.glob("*.npz")})
    rows, stops = [], []
    for name in names:
        files = sorted(place.glob(f"{name}, run *.npz"))
        if len(files) != 2:
            continue
        runs = [dict(np.load(file)) for file in files]
        ends = [ended(known) for known in runs]
        early = np.stack(
            [
                np.stack([known[f"{before} test"], known[f"{end} test"]])
                for known, end in zip(runs, ends, strict=True)
                for before in [end - 1 if end < CHECKS else end]
            ]
        )
        whole = [known[f"{CHECKS} test"] for known in runs]
        stops += ends
        rows.append(
            {
                "task": name,
                "early": round(agreement(early, 2).interval.mean, 4),
                "whole": round(agreement(np.stack(whole), 2).interval.mean, 4),
                "ended_at": [round(end / CHECKS, 3) for end in ends],
            }
        )
    both = np.array([[row["early"], row["whole"]] for row in rows])
    return {
        "labelings": len(rows),
        "spearman": round(float(spearmanr(both[:, 0], both[:, 1]).statistic), 4),
        "images_passed": round(float(np.mean(stops)) / CHECKS, 3),
        "mean_difference": round(float((both[:, 0] - both[:, 1]).mean()), 4),
        "rows": rows,
        "environment": about(),
    }


def main() -> None:
    """Train, compare, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", metavar="DATA")
    parser.add_argument("--from", dest="run", type=Path, required=True, help="a run of discover")
    parser.add_argument("--answers", type=Path, required=True, help="where answers are kept")
    parser.add_argument("--part", default="0/1", help="which part of the labelings to train")
    parser.add_argument("--threads", type=int, default=None)
    add_output(parser)
    options = parser.parse_args()
    own_process(options.threads)
    options.answers.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, options.part.split("/"))
    collect(td.load(options.data), options.run, options.answers, part, parts)
    document = evaluate(options.answers)
    deliver(document, options)


if __name__ == "__main__":
    main()
