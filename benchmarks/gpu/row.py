"""The row that matters: 32 tasks of a full-width ResNet-18 by power iteration, and what they score.

Discovered on CIFAR-10's training images with the defaults of `discover`, then scored at `quick`;
human tasks and random labels beside them, trained and measured alike. The published mean for 32
discovered tasks of a ResNet-18 is 0.879, at 100 epochs. What is finished is kept in OUT/row.json
after each part: a budget that ends takes nothing away.

    python -m benchmarks.gpu.row --data cifar10/train.parquet --out row --budget 230
    python -m benchmarks.gpu.row --data cifar10/train.parquet --out row --device cpu --tiny
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch

import taskdiscovery as td
from benchmarks import human, labelings
from benchmarks.gpu.environment import environment
from benchmarks.machine import own_process
from benchmarks.provenance import about
from taskdiscovery.agreement import similarity_matrix
from taskdiscovery.config import ScoreConfig
from taskdiscovery.scoring import random_like
from taskdiscovery.types import Dataset, Labeling, Score

PUBLISHED = 0.879
#: of the 126 human tasks: the seven core ones, and one more.
HUMAN = (*human.CORE, 60)
RANDOM = 3
#: seconds that are left for writing.
RESERVE = 5.0


@dataclass(frozen=True)
class Size:
    """How much is done.

    Attributes:
        learner: SPEC.
        tasks: how many are discovered.
        preset: of the scores.
        images: of the data set; None for all.
        search, scoring: more options.
    """

    learner: str = "resnet18"
    tasks: int = 32
    preset: str = "quick"
    images: int | None = None
    search: dict[str, Any] = field(default_factory=dict)
    scoring: dict[str, Any] = field(default_factory=dict)


TINY = Size("mlp?width=0.25", 4, "smoke", 1500, {"epochs": 4}, {"train_images": 300})


class Row:
    """What is found, written after each part."""

    def __init__(self, out: Path, budget: float, cuda: bool) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.place, self.budget, self.began = out / "row.json", budget, time.perf_counter()
        self.document: dict[str, Any] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": about() | environment(cuda),
            "published": {"agreement": PUBLISHED, "tasks": 32, "epochs": 100},
            "seconds": {},
            "finished": False,
        }

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.budget - (time.perf_counter() - self.began) - RESERVE

    def keep(self, seconds: dict[str, float], **values: Any) -> None:
        """Add values, and the seconds of a part; write."""
        self.document["seconds"] |= {name: round(s, 2) for name, s in seconds.items()}
        self.document |= values
        text = json.dumps(self.document, indent=1, default=str)
        self.place.write_text(text + "\n", encoding="utf-8")


def discovered(row: Row, data: Dataset, size: Size, here: dict[str, Any]) -> td.Discovery:
    """Discover the tasks; tell how, and how alike they are on images that none has seen."""
    began = time.perf_counter()
    found = td.discover(
        data, tasks=size.tasks, learner=size.learner, callbacks=[], **here, **size.search
    )
    took = time.perf_counter() - began
    numbers = found.numbers
    search = {
        "learner": size.learner,
        "tasks": len(found.tasks),
        "iterations": len(numbers["iterations"]),
        "similarity on unseen images": numbers["similarity"],
    }
    row.keep({"discover": took}, search=search)
    print(f"discovered {search} in {took:.1f} s", flush=True)
    return found


def to_score(data: Dataset, found: td.Discovery) -> list[Labeling]:
    """Return tasks, human tasks and random labels in turn, so that some of each are done."""
    humans = [replace(data.target(human.target(i)), name=f"human {i}") for i in HUMAN]
    tasks = list(found.tasks)
    randoms = [replace(random_like(tasks[0], i), name=f"random {i}") for i in range(RANDOM)]
    fours = [tasks[i : i + 4] for i in range(0, len(tasks), 4)]
    turns = zip_longest(*fours_first(fours), humans, randoms)
    return [own for own in chain.from_iterable(turns) if own is not None]


def fours_first(fours: list[list[Labeling]]) -> list[list[Labeling]]:
    """Turn rows of at most four into four columns."""
    return [[four[i] for four in fours if i < len(four)] for i in range(4)]


def scored(
    row: Row, data: Dataset, asked: list[Labeling], size: Size, here: dict[str, Any]
) -> Iterator[Score]:
    """Yield scores while there is time for one more."""
    config = ScoreConfig(learner=size.learner, preset=size.preset, **here, **size.scoring)
    began = time.perf_counter()
    for done, score in enumerate(labelings.scores(data, asked, config), 1):
        yield score
        if row.left < 1.5 * (time.perf_counter() - began) / done:
            return


def summary(scores: list[Score]) -> dict[str, Any]:
    """Return mean, extremes and interval of each kind.

    The interval of a mean is over its labelings, 95 %, by Student's t.
    """
    kinds: dict[str, list[float]] = {}
    for score in scores:
        kind = score.task.partition(" ")[0]
        kind = kind if kind in ("human", "random") else "discovered"
        kinds.setdefault(kind, []).append(score.agreement)
    return {kind: _described(np.array(values)) for kind, values in kinds.items()}


def _described(values: np.ndarray[Any, Any]) -> dict[str, Any]:
    from scipy.stats import sem, t

    reach = float("nan")
    if len(values) > 1:
        reach = float(t.ppf(0.975, len(values) - 1) * sem(values))
    mean = float(values.mean())
    return {
        "labelings": len(values),
        "mean": round(mean, 4),
        "low": round(mean - reach, 4),
        "high": round(mean + reach, 4),
        "min": round(float(values.min()), 4),
        "max": round(float(values.max()), 4),
    }


def similarity(found: td.Discovery) -> dict[str, float]:
    """Return the mean and the greatest similarity of two tasks, over all images."""
    labels_ND = np.asarray(found.tasks.labels_ND)
    pairs = similarity_matrix(labels_ND, 2)[np.triu_indices(labels_ND.shape[1], 1)]
    return {"mean": round(float(pairs.mean()), 4), "max": round(float(pairs.max()), 4)}


def make(row: Row, data: Dataset, size: Size, here: dict[str, Any]) -> None:
    """Discover, score, and write after each part."""
    found = discovered(row, data, size, here)
    row.keep({}, similarity=similarity(found))
    asked = to_score(data, found)
    kept: list[Score] = []
    began = time.perf_counter()
    for score in scored(row, data, asked, size, here):
        kept.append(score)
        each = [
            {"labeling": s.task, "agreement": round(s.agreement, 4), "accuracy": s.accuracy}
            | {"low": round(s.low, 4), "high": round(s.high, 4), "kappa": s.kappa}
            for s in kept
        ]
        took = time.perf_counter() - began
        row.keep(
            {"score": took, "score, each": took / len(kept)},
            agreement=summary(kept),
            scores=each,
            precision=score.precision,
            finished=len(kept) == len(asked),
        )
        print(f"{score.task:12s} {score.agreement:.3f} [{score.low:.3f}, {score.high:.3f}]")
    print(f"{len(kept)} of {len(asked)} labelings scored; published: {PUBLISHED}")
    for kind, numbers in row.document["agreement"].items():
        print(f"{kind:12s}", numbers)
    print("similarity  ", row.document["similarity"], "\nseconds     ", row.document["seconds"])


def main() -> None:
    """Make the row."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu.row", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", required=True, metavar="DATA", help="CIFAR-10's training images")
    parser.add_argument("--out", type=Path, required=True, help="directory of row.json")
    parser.add_argument("--budget", type=float, default=230.0, help="seconds for all of it")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="a dry run")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device; a dry run: --device cpu --tiny")
    warnings.simplefilter("ignore")
    logging.getLogger("taskdiscovery").setLevel(logging.ERROR)
    own_process(None)
    row, size = Row(options.out, options.budget, options.device == "cuda"), Size()
    began = time.perf_counter()
    data = td.load(options.data)
    if options.tiny:
        size = TINY
        few = np.arange(size.images or len(data))
        labels = None if data.labels is None else np.asarray(data.classes)[data.labels[few]]
        data = td.from_arrays(data.images[few], labels)
    row.keep({"load": time.perf_counter() - began}, images=len(data))
    make(row, data, size, {"device": options.device, "executor": "serial"})


if __name__ == "__main__":
    main()
