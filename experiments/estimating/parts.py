"""The cases of the study: labelings in distribution, corruptions, adversarial splits.

Axes: K runs, n images asked about, N images, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from benchmarks import human

from experiments.estimating.labelings import every_kind
from experiments.estimating.trained import Runs, ready, train, trained
from experiments.ledger import Arrays, Ledger
from taskdiscovery.config import ScoreConfig
from taskdiscovery.data import partition
from taskdiscovery.data.corruptions import CORRUPTIONS, corrupt
from taskdiscovery.data.corruptions import STRENGTHS as AMOUNTS
from taskdiscovery.splits.benchmark.rows import Benchmark, Sizes, compose
from taskdiscovery.types import BoolArray, Dataset, ImageArray, IntArray, Labeling, Tasks

#: runs of a labeling in distribution, as `score` trains; and of a case under shift.
PAIR, RUNS = 2, 3
#: images that calibrate, and of the published test set, under corruption.
CALIBRATION, TESTED, MADE = 2500, 5000, 1500
#: images that runs are trained on before they see corrupted ones.
TRAINED = 20_000
#: the share of training images on which target and task agree.
SPLITS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: a split's training images, and those that calibrate and test, as shares of these.
SIZES = Sizes(train=3000, validation=0.5, test=0.5)
#: epochs of a split's trainings, whose images are few.
EPOCHS = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Setting:
    """A learner and a seed, with the images.

    Attributes:
        dataset: CIFAR-10's training images; `published` the table of published tasks of them.
        other: its test images.
        discovered: two searches of eight tasks, on the former.
        learner, seed: of the trainings.
        images: that a labeling is trained on.
        options: of all trainings: device, precision, threads.
        ledger: where it is kept.
    """

    dataset: Dataset
    other: Dataset
    discovered: tuple[Tasks, Tasks]
    published: Path
    learner: str
    seed: int
    images: int
    options: dict[str, object]
    ledger: Ledger

    def config(self, runs: int, **more: int) -> ScoreConfig:
        """Return how runs are trained."""
        own = {"learner": self.learner, "seed": self.seed, "runs": runs, "executor": "serial"}
        return ScoreConfig(**{**own, **self.options, **more})  # type: ignore[arg-type]

    def key(self, kind: str, *more: object) -> str:
        """Name a case."""
        return " ".join(map(str, (kind, self.learner, self.seed, *more)))

    @cached_property
    def seen_N(self) -> BoolArray:
        """Images that may be trained on: those that discovery saw, whatever the seed."""
        return partition.draw(len(self.dataset), 0)


def labelings(setting: Setting) -> Iterator[str]:
    """Train each of forty labelings, and ask about images that nobody has seen.

    All are trained on one bench: on a card what it has recorded is used again.
    """
    data, seen_N = setting.dataset, setting.seen_N
    rows = partition.sample(np.flatnonzero(seen_N), setting.images, setting.seed, "fit")
    asked = np.flatnonzero(~seen_N)
    given = list(kinds(setting))
    with ready(data, setting.config(PAIR), rows, len(given)) as bench:
        for own in given:
            key = setting.key("labeling", own.name)

            def make(own: Labeling = own) -> Arrays:
                began = time.perf_counter()
                runs = trained(bench, own, rows, setting.config(PAIR))
                return {
                    "predicted": runs.predicted(data.images[asked]).astype(np.uint8),
                    "labels": own.labels_N[asked].astype(np.uint8),
                    "rates": np.bincount(own.labels_N[rows], minlength=own.k) / len(rows),
                    "seconds": np.array(time.perf_counter() - began),
                }

            setting.ledger.known(key, make)
            yield key


def kinds(setting: Setting) -> Iterator[Labeling]:
    """Yield the forty labelings, made once for each seed."""
    data = setting.dataset

    def make() -> Arrays:
        given = (setting.discovered, setting.published, setting.seed)
        return {own.name: own.labels_N.astype(np.uint8) for own in every_kind(data, *given)}

    for name, own_N in setting.ledger.known(f"kinds {setting.seed}", make).items():
        labels_N = own_N.astype(np.int64)
        classes = tuple(map(str, range(int(labels_N.max()) + 1)))
        yield Labeling(name=name, classes=classes, labels_N=labels_N, ids_N=data.ids)


def corruptions(setting: Setting, changed: Callable[[str, int], ImageArray]) -> Iterator[str]:
    """Train the ten classes, and ask about the published test images, clean and corrupted.

    Args:
        setting: what is done.
        changed: from a corruption and its strength to the images of `to_corrupt`.
    """
    data, (calibrate, made) = setting.dataset, held(setting)
    rows = partition.sample(np.flatnonzero(setting.seen_N), TRAINED, setting.seed, "fit")
    key = setting.key("corruption")

    def make() -> Arrays:
        runs = train(data, data.target("label"), rows, setting.config(RUNS))
        assert data.labels is not None
        tested = tested_images(setting)
        assert data.labels is not None
        assert setting.other.labels is not None
        found = {
            "labels": np.concatenate([data.labels[made], setting.other.labels[tested]]),
            "calibration labels": data.labels[calibrate],
            "calibration": runs.probabilities(data.images[calibrate]).astype(np.float16),
            "none 0": runs.probabilities(to_corrupt(setting)).astype(np.float16),
        }
        for name in CORRUPTIONS:
            for strength in AMOUNTS:
                p_KnC = runs.probabilities(changed(name, strength))
                found[f"{name} {strength}"] = p_KnC.astype(np.float16)
        return found

    setting.ledger.known(key, make)
    yield key


def held(setting: Setting) -> tuple[IntArray, IntArray]:
    """Return the rows that calibrate, and those that are corrupted for made domains."""
    unseen = np.random.default_rng(0).permutation(np.flatnonzero(~setting.seen_N))
    return unseen[:CALIBRATION], unseen[CALIBRATION : CALIBRATION + MADE]


def tested_images(setting: Setting) -> IntArray:
    """Return the rows of the published test images that are asked about."""
    return np.sort(np.random.default_rng(0).permutation(len(setting.other))[:TESTED])


def to_corrupt(setting: Setting) -> ImageArray:
    """Return the images that are corrupted: held-out ones, then published test images."""
    return np.concatenate(
        [setting.dataset.images[held(setting)[1]], setting.other.images[tested_images(setting)]]
    )


def corrupted(setting: Setting, place: Path, name: str, strength: int) -> ImageArray:
    """Return them corrupted; made once, and kept in a folder."""
    file = place / f"{name} {strength}.npy"
    if not file.exists():
        place.mkdir(parents=True, exist_ok=True)
        written = place / f"{name} {strength} {time.monotonic_ns()}.tmp"
        with written.open("wb") as stream:
            np.save(stream, corrupt(to_corrupt(setting), name, strength, 0))
        written.replace(file)
    return np.asarray(np.load(file))


def splits(setting: Setting, cuts: Sequence[int] = human.CORE) -> Iterator[str]:
    """Train human cuts that a discovered task goes with, more and more; ask about all parts."""
    for number in cuts:
        target = setting.dataset.target(human.target(number))
        yield from _splits_of(setting, number, target)


def _splits_of(setting: Setting, number: int, target: Labeling) -> Iterator[str]:
    data, tasks = setting.dataset, setting.discovered[0]
    chosen = partner(target, tasks, setting.seen_N)

    @cache
    def composed() -> Benchmark:
        how = {"strengths": SPLITS, "sizes": SIZES, "seed": setting.seed}
        return compose(data, target, tasks[chosen], **how)  # type: ignore[arg-type]

    for strength in SPLITS:
        key = setting.key("split", number, strength)

        def make(strength: float = strength) -> Arrays:
            rows = composed().rows(strength)
            runs = train(data, target, rows["train"], setting.config(RUNS, epochs=EPOCHS))
            return {"task": np.array(chosen)} | {
                f"{part} {what}": values
                for part, own in rows.items()
                if part != "train"
                for what, values in _answers(runs, data, target, tasks, own).items()
            }

        setting.ledger.known(key, make)
        yield key


def partner(target: Labeling, tasks: Tasks, seen_N: BoolArray) -> int:
    """Return the task whose rarest combination with the target has the most images."""
    least = []
    for task in tasks:
        both_N = 2 * target.labels_N[seen_N] + task.labels_N[seen_N]
        least.append(int(np.bincount(both_N[(both_N >= 0)], minlength=4).min()))
    return int(np.argmax(least))


def _answers(
    runs: Runs, data: Dataset, target: Labeling, tasks: Tasks, rows: IntArray
) -> dict[str, np.ndarray]:
    p_KnC = runs.probabilities(data.images[rows])
    return {
        "second": p_KnC[:, :, 1].astype(np.float32),
        "labels": target.labels_N[rows].astype(np.uint8),
        "sides": np.stack([task.labels_N[rows] for task in tasks]).astype(np.int8),
    }
