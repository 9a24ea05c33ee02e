"""What all experiments share: data, labelings, searches and scores that can be stopped.

Everything long goes through the package's own journal, in a working directory: the same command,
given again, goes on where it was stopped.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import human

from experiments.records import Row
from taskdiscovery import jobs, scoring
from taskdiscovery.config import AnalyzeConfig, DiscoverConfig, ScoreConfig, to_mapping
from taskdiscovery.inputs import load_tasks
from taskdiscovery.journal import Journal
from taskdiscovery.rundir import Checkpoints, RunDir
from taskdiscovery.types import BoolArray, Dataset, Target, Tasks

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class Laboratory:
    """The data, and where work in progress is kept.

    Attributes:
        dataset: labelled images.
        work: directory of searches and journals.
        threads: of all trainings; None for all there are.
    """

    dataset: Dataset
    work: Path
    threads: int | None = None

    def human(self, count: int, seed: int = 0) -> list[Target]:
        """Return human tasks: the core ones, then others drawn at random, in a fixed order."""
        others = np.setdiff1d(np.arange(len(human.HUMAN)), human.CORE)
        drawn = np.random.default_rng(seed).permutation(others)
        numbers = [*human.CORE, *(int(n) for n in drawn)][:count]
        found = []
        for number in numbers:
            target = self.dataset.target(human.target(number))
            found.append(Target(name=f"human {number}", labels=target.labels, classes=("0", "1")))
        return found

    def random(self, count: int) -> list[Target]:
        """Return random labels with the rates of human tasks."""
        like = self.human(1)[0]
        return [
            Target(
                name=f"random {i}", labels=scoring.random_like(like, i).labels, classes=("0", "1")
            )
            for i in range(count)
        ]

    def tasks(self, name: str, **options: Any) -> tuple[Tasks, Row]:
        """Search for tasks, or take what was found before; return them and the run's result.

        Args:
            name: of the run in the working directory.
            **options: as `DiscoverConfig`.
        """
        place = self.work / f"discover {name}"
        config = DiscoverConfig(threads=self.threads, **options)
        if not (place / "status.json").exists():
            _LOG.warning("searching: %s", name)
            jobs.run_discover(self.dataset, config, place)
        elif RunDir.open(place).state() != "done":
            jobs.resume(place, self.dataset)
        return load_tasks(place, self.dataset), RunDir.open(place).result()

    def verdicts(self, name: str) -> list[str]:
        """Return what `analyze` says of each task of a run in the working directory."""
        place = self.work / f"discover {name}"
        evidence = jobs.run_analyze(place, self.dataset, AnalyzeConfig(threads=self.threads))
        return list(evidence.verdicts.values())

    def cost(self, name: str) -> Row:
        """Return what a search took: seconds, and images passed forwards and backwards.

        An image of `meta` goes through a network forwards, backwards, and through both of these
        again for the derivative of the training itself; it counts once here, too.
        """
        run = RunDir.open(self.work / f"discover {name}")
        config, result = run.config(), run.result()
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
        targets: Sequence[Target],
        *,
        train: BoolArray | None = None,
        **options: Any,
    ) -> list[Row]:
        """Score labelings; what is scored already is remembered.

        Args:
            name: of the journal in the working directory.
            targets: with distinct names, whose first word is their kind.
            train: (N,) which images may be trained on; by default those of seed 0.
            **options: as `ScoreConfig`.
        """
        config = ScoreConfig(threads=self.threads, **options)
        header = {"command": "experiment", "config": to_mapping(config)}
        header["data"] = self.dataset.fingerprint
        self.work.mkdir(parents=True, exist_ok=True)
        journal = Journal(Checkpoints(self.work / f"score {name}"), header=header)
        journal.load()
        rows = []
        for score in scoring.score(self.dataset, targets, config, train=train, journal=journal):
            row = {**score.to_row(), "kind": score.task.split()[0], "seconds": score.seconds}
            rows.append(row)
            _LOG.warning("%s, %s: %.3f", name, score.task, score.agreement)
        return rows


def as_targets(tasks: Tasks, kind: str, count: int | None = None) -> list[Target]:
    """Return tasks as labelings named by their kind, e.g. `power 3`; spread over their order."""
    found = scoring.as_targets(tasks)
    chosen = (
        range(len(found)) if count is None else np.linspace(0, len(found) - 1, count).astype(int)
    )
    return [
        Target(name=f"{kind} {i}", labels=found[i].labels, classes=found[i].classes) for i in chosen
    ]


def flipped(target: Target, share: float, seed: int = 0) -> Target:
    """Return a labeling some of whose labels are flipped."""
    turned = np.random.default_rng(seed).random(len(target.labels)) < share
    labels = np.where(turned, 1 - target.labels, target.labels)
    return Target(name=f"{target.name}, {share:.0%} flipped", labels=labels, classes=("0", "1"))


def mean(rows: Sequence[Row], kind: str) -> dict[str, float]:
    """Return mean, least and greatest agreement of the rows of a kind."""
    found = [row["agreement"] for row in rows if row["kind"] == kind]
    return {
        "tasks": len(found),
        "mean": round(float(np.mean(found)), 4),
        "min": round(float(np.min(found)), 4),
        "max": round(float(np.max(found)), 4),
    }
