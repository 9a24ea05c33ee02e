"""What all experiments share: data, labelings, searches and scores that can be stopped.

Everything long goes through the package's own journal, in a working directory: the same command,
given again, goes on where it was stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import human, labelings

import taskdiscovery as td
from experiments.records import Row
from taskdiscovery import scoring
from taskdiscovery.config import ScoreConfig, from_mapping, to_mapping
from taskdiscovery.discovery import DiscoverConfig
from taskdiscovery.jobs import discover
from taskdiscovery.jobs.inputs import tasks_of_run
from taskdiscovery.jobs.sink import Sink
from taskdiscovery.runtime.progress_bar import callbacks_of
from taskdiscovery.store import Checkpoints, Run
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import BoolArray, Dataset, Document, IntArray, Labeling, Tasks

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class Laboratory:
    """The data, and where work in progress is kept.

    Attributes:
        dataset: labelled images.
        work: directory of searches and journals.
        threads: of all trainings; None for all there are.
        pixels: from so many seeds `features` searches on pixels, too, which takes long.
        device: of all trainings.
        published: folder of labels that were published with the paper, for studies that need it.
    """

    dataset: Dataset
    work: Path
    threads: int | None = None
    pixels: int = 0
    device: str = "cpu"
    published: Path | None = None

    @property
    def hardware(self) -> Row:
        """The options of every job that say what it runs on."""
        return {"threads": self.threads, "device": self.device}

    def human(self, count: int, seed: int = 0) -> list[Labeling]:
        """Return human tasks: the core ones, then others drawn at random, in a fixed order."""
        others = np.setdiff1d(np.arange(len(human.HUMAN)), human.CORE)
        drawn = np.random.default_rng(seed).permutation(others)
        numbers = [*human.CORE, *(int(n) for n in drawn)][:count]
        found = []
        for number in numbers:
            labels_N = self.dataset.target(human.target(number)).labels_N
            found.append(self.binary(f"human {number}", labels_N))
        return found

    def random(self, count: int) -> list[Labeling]:
        """Return random labels with the rates of human tasks."""
        like = self.human(1)[0]
        return [
            self.binary(f"random {i}", scoring.random_like(like, i).labels_N) for i in range(count)
        ]

    def binary(self, name: str, labels_N: IntArray) -> Labeling:
        """Make a labeling of two classes."""
        return Labeling(name=name, classes=("0", "1"), labels_N=labels_N, ids_N=self.dataset.ids)

    def tasks(self, name: str, **options: Any) -> tuple[Tasks, Row]:
        """Search for tasks, or take what was found before; return them and the run's numbers.

        Args:
            name: of the run in the working directory.
            **options: of `discover` and its method, as a config file has them.
        """
        place = self.work / f"discover {name}"
        config = from_mapping(DiscoverConfig, {**self.hardware, **options}, name)
        if not (place / "status.json").exists():
            _LOG.warning("searching: %s", name)
            discover.run(self.dataset, config, Sink.of("discover", place), callbacks_of(None))
        elif Run.open(place).state != "done":
            td.resume(place, data=self.dataset)
        run = Run.open(place)
        return tasks_of_run(run, self.dataset, {}), run.numbers

    def verdicts(self, name: str) -> list[str]:
        """Return what `analyze` says of each task of a run in the working directory."""
        place = self.work / f"discover {name}"
        evidence = td.analyze(self.dataset, Run.open(place), **self.hardware, out=place)
        return list(evidence.verdicts.values())

    def cost(self, name: str) -> Row:
        """Return what a search took: seconds, and images passed forwards and backwards.

        An image of `meta` goes through a network forwards, backwards, and through both of these
        again for the derivative of the training itself; it counts once here, too.
        """
        run = Run.open(self.work / f"discover {name}")
        config, result = run.config, run.numbers
        images = result["train_images"]
        passed = config["encoder_epochs"] * images
        if result["method"] == "power":
            fitted = config["epochs"] * config["runs"] * (config["folds"] - 1) * images
            passed += len(result["iterations"]) * fitted
        elif result["method"] == "meta":
            steps = config["outer_steps"] * config["tasks_per_step"]
            each = config["networks"] if config["share_batch"] else 1
            passed = steps * config["inner_steps"] * config["inner_batch"] * each
        else:
            passed = 0
        return {
            "seconds": result["seconds"],
            "images_trained_on": passed,
            "train_images": images,
            "threads": config["threads"],
        }

    def scores(
        self,
        name: str,
        given: Sequence[Labeling],
        *,
        seen_N: BoolArray | None = None,
        **options: Any,
    ) -> list[Row]:
        """Score labelings; what is scored already is remembered.

        Args:
            name: of the journal in the working directory.
            given: with distinct names, whose first word is their kind.
            seen_N: (N,) which images may be trained on; by default those of seed 0.
            **options: as `ScoreConfig`.
        """
        config = ScoreConfig(**{**self.hardware, **options})
        header: Document = {"command": "experiment", "config": to_mapping(config)}
        header["data"] = self.dataset.fingerprint
        self.work.mkdir(parents=True, exist_ok=True)
        journal = Journal(Checkpoints(self.work / f"score {name}"), header=header)
        journal.load()
        rows = []
        for score in labelings.scores(self.dataset, given, config, seen_N, journal):
            row = {**score.to_row(), "kind": score.task.split()[0], "seconds": score.seconds}
            rows.append(row)
            _LOG.warning("%s, %s: %.3f", name, score.task, score.agreement)
        return rows


def as_labelings(tasks: Tasks, kind: str, count: int | None = None) -> list[Labeling]:
    """Return tasks named by kind, e.g. `power 3`; so many at most, spread over their order."""
    count = len(tasks) if count is None else min(count, len(tasks))
    return named(tasks, kind, np.linspace(0, len(tasks) - 1, count).astype(int).tolist())


def named(tasks: Tasks, kind: str, positions: Sequence[int]) -> list[Labeling]:
    """Return tasks at these positions, named by kind and position."""
    return [replace(tasks[d], name=f"{kind} {d}") for d in positions]


def flipped(labeling: Labeling, share: float, seed: int = 0) -> Labeling:
    """Return a binary labeling some of whose labels are flipped."""
    turned_N = np.random.default_rng(seed).random(len(labeling)) < share
    labels_N = np.where(turned_N, 1 - labeling.labels_N, labeling.labels_N)
    return replace(labeling, name=f"{labeling.name}, {share:.0%} flipped", labels_N=labels_N)


def mean(rows: Sequence[Row], kind: str) -> dict[str, float]:
    """Return mean, least and greatest agreement of the rows of a kind."""
    found = [row["agreement"] for row in rows if row["kind"] == kind]
    return {
        "tasks": len(found),
        "mean": round(float(np.mean(found)), 4),
        "min": round(float(np.min(found)), 4),
        "max": round(float(np.max(found)), 4),
    }
