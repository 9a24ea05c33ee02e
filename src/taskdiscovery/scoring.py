"""The job of scoring: train K independent runs on a labeling, and see how alike they predict.

Axes: N images, n test images, K runs.
Source: Atanov et al., NeurIPS 2022, section 2; the published protocol is the preset `paper`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery import executors, partition
from taskdiscovery.agreement import agreement
from taskdiscovery.config import ScoreConfig
from taskdiscovery.errors import DataError, NumericalError, WorkerError
from taskdiscovery.executors import Executor, Piece
from taskdiscovery.journal import Journal, Unit
from taskdiscovery.progress import Meter, meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.stage import Stage, predicted, resolve
from taskdiscovery.training import WATCHED
from taskdiscovery.types import BoolArray, Dataset, IntArray, Score, Target, Tasks

_LOG = logging.getLogger("taskdiscovery")

RANDOM = "random"


def score(
    dataset: Dataset,
    targets: Sequence[Target],
    config: ScoreConfig,
    *,
    train: BoolArray | None = None,
    journal: Journal | None = None,
) -> Iterator[Score]:
    """Score labelings of a data set, one after the other.

    Args:
        dataset: the images.
        targets: the labelings; images without a class take no part.
        config: learner, preset, runs, what varies between runs.
        train: (N,) True for images that may be trained on; by default the partition of the
            seed. Agreement is measured on the others only. Tasks that were discovered need the
            partition of their discovery, so that nothing it saw is ever scored.
        journal: remembers what is finished, so that a job that was stopped can go on.

    Yields:
        The score of each labeling as it is finished.

    Raises:
        DataError: for a labeling with one class, or with too few images.
        NumericalError: where fewer than two runs end in finite weights.
        WorkerError: after all other scores, where a training ended every worker that took it up.
    """
    config = resolve(config, dataset, pieces=config.runs * len(targets))
    journal = journal or Journal()
    train = partition.draw(len(dataset), config.seed) if train is None else train
    # One choice of images for all labelings, so that their scores compare.
    fit = partition.sample(np.flatnonzero(train), config.train_images, config.seed, "fit")
    held = partition.sample(np.flatnonzero(~train), config.test_images, config.seed, "held out")
    fit, watched = _watched(np.flatnonzero(train), fit, config) if config.early else (fit, None)
    stage = Stage.prepare(dataset, config, fit)
    passes = len(targets) * config.runs * stage.learner.recipe.epochs * len(fit)
    plans = [
        _Plan.make(stage, _key(number, target), target, config, fit, held, watched)
        for number, target in enumerate(targets)
    ]
    lost: list[WorkerError] = []
    with (
        executors.opened(config, stage.images, dataset.images, journal) as crew,
        meter("scoring", passes) as bar,
    ):
        todo = [plan for plan in plans if not journal.has(plan.key)]
        crew.begin([piece for plan in todo for piece in plan.pieces], bar)
        for plan in plans:
            key, target = plan.key, plan.target
            known = journal.get(key)
            if known is None:
                try:
                    result = _score_one(plan, config, crew, bar)
                except WorkerError as error:  # the other labelings are scored all the same
                    lost.append(error)
                    continue
                values = {**result.to_row(), "seconds": result.seconds}
                unit = Unit(values=values, arrays={"per_image": result.per_image})
                journal.put(key, unit, forget=f"{key}/")
            else:
                per_image = known.arrays["per_image"]
                test = held[target.known[held]]
                result = Score(
                    **known.values, per_image=per_image, test=test, images=dataset.images
                )
                bar.advance(config.runs * stage.learner.recipe.epochs * len(fit))
            bar.advance(0, f"{target.name}: {result.agreement:.3f}")
            yield replace(result, images=dataset.images)
    if lost:
        raise WorkerError(
            f"{len(lost)} of {len(targets)} labelings are not scored: {lost[0].what}",
            where=lost[0].where,
            mend=lost[0].mend,
        )


def finished(targets: Sequence[Target], journal: Journal) -> set[str]:
    """Return the names of the labelings whose scores the journal remembers."""
    return {t.name for i, t in enumerate(targets) if journal.has(_key(i, t))}


def _key(number: int, target: Target) -> str:
    return f"score {number} {target.name}"


def random_like(target: Target, seed: int) -> Target:
    """Return random labels with exactly the class rates of a labeling: its own, permuted."""
    labels = target.labels.copy()
    known = np.flatnonzero(target.known)
    labels[known] = generator(seed, "random labels").permutation(labels[known])
    return Target(name=RANDOM, labels=labels, classes=target.classes)


def human_reference(dataset: Dataset) -> Target | None:
    """Return a balanced human labeling to compare with: the first half of the classes."""
    if dataset.labels is None or len(dataset.classes) < 2:
        return None
    half = ",".join(str(c) for c in range(len(dataset.classes) // 2))
    return dataset.target(f"label:{half}")


def as_targets(tasks: Tasks) -> list[Target]:
    """Return discovered tasks as labelings to be scored."""
    return [
        Target(
            name=name,
            labels=tasks.labels[:, d],
            classes=tuple(str(c) for c in range(tasks.k[d])),
        )
        for d, name in enumerate(tasks.names)
    ]


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    """The runs of one labeling.

    Attributes:
        key: of its score.
        target: the labeling.
        held: test images with a class.
        pieces: one a run.
    """

    key: str
    target: Target
    held: IntArray
    pieces: tuple[Piece, ...]

    @classmethod
    def make(
        cls,
        stage: Stage,
        key: str,
        target: Target,
        config: ScoreConfig,
        fit: IntArray,
        held: IntArray,
        watched: IntArray | None,
    ) -> _Plan:
        """Plan the runs.

        Raises:
            DataError: for one class, or too few images.
        """
        fit, held = fit[target.known[fit]], held[target.known[held]]
        shares = np.bincount(target.labels[fit], minlength=target.k) if len(fit) else np.zeros(1)
        if len(fit) < 2 * config.runs or len(held) < 1 or (shares > 0).sum() < 2:
            raise DataError(
                f"{target.name} has {len(fit)} training images of {int((shares > 0).sum())} "
                f"classes and {len(held)} test images",
                where=target.name,
                mend="give more images, or a labeling with at least two classes",
            )
        if shares.max() / shares.sum() > 0.95:
            _LOG.warning(
                "%s: %.0f %% of the images are of one class, so look at kappa rather than "
                "agreement",
                target.name,
                100 * shares.max() / shares.sum(),
            )
        pieces = []
        for run in range(config.runs):
            init, order, rows = _vary(config, fit, run)
            training = stage.training(
                target.labels,
                target.k,
                rows,
                held,
                init_seed=init,
                order_seed=order,
                watched=watched,
            )
            pieces.append(Piece(key=f"{key}/run {run}", training=training, keep=predicted))
        return cls(key=key, target=target, held=held, pieces=tuple(pieces))


def _score_one(plan: _Plan, config: ScoreConfig, crew: Executor, bar: Meter) -> Score:
    began = time.perf_counter()
    target, held = plan.target, plan.held
    predictions, failures = [], []
    for run, piece in enumerate(plan.pieces):
        try:
            predictions.append(crew.unit(piece, bar).arrays["predicted"])
        except NumericalError as error:
            failures.append(error)
            _LOG.warning("%s, run %d: %s, counted as failed", target.name, run, error.what)
    if len(predictions) < 2:
        raise NumericalError(
            f"{len(failures)} of {config.runs} runs on {target.name} diverged",
            where=f"--learner {config.learner}",
            mend=failures[0].mend,
        )
    predictions_Kn = np.stack(predictions)
    truth_n = target.labels[held]
    found = agreement(predictions_Kn, target.k)
    rates = np.bincount(truth_n, minlength=target.k) / len(held)
    return Score(
        task=target.name,
        learner=config.learner,
        preset=config.preset,
        precision=config.precision,
        runs=len(predictions),
        agreement=found.interval.mean,
        low=found.interval.low,
        high=found.interval.high,
        covers=found.interval.covers,
        chance=found.chance,
        kappa=found.kappa,
        rate=float(rates[1] if target.k == 2 else rates.max()),
        accuracy=float((predictions_Kn == truth_n).mean()),
        per_image=found.per_image.astype(np.float32),
        test=held,
        failed=len(failures),
        seconds=round(time.perf_counter() - began, 2),
    )


def _watched(train: IntArray, fit: IntArray, config: ScoreConfig) -> tuple[IntArray, IntArray]:
    """Return the images to train on, and those whose answers are watched.

    These are of the training part, not trained on; where all are, a twentieth is set apart.
    """
    spare = np.setdiff1d(train, fit)
    if len(spare) < min(WATCHED, len(fit) // 20):
        spare = partition.sample(fit, max(1, len(fit) // 20), config.seed, "watched")
        fit = np.setdiff1d(fit, spare)
    return fit, partition.sample(spare, WATCHED, config.seed, "watched")


def _vary(config: ScoreConfig, fit: IntArray, run: int) -> tuple[int, int, IntArray]:
    """Return the seeds of initialization and order, and the training images, of one run."""
    varied = set(config.vary.split(","))
    if config.shared_order:
        varied.discard("order")
    init = derive(config.seed, "init", run if "init" in varied else 0)
    order = derive(config.seed, "order", run if "order" in varied else 0)
    if "data" not in varied:
        return init, order, fit
    parts = np.array_split(generator(config.seed, "disjoint data").permutation(fit), config.runs)
    return init, order, np.sort(parts[run])
