"""Scores: train K independent runs on a labeling, and see how alike they predict.

Axes: N images, n test images, K runs.
Source: Atanov et al., NeurIPS 2022, section 2; the published protocol is the preset `paper`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from taskdiscovery.agreement import agreement
from taskdiscovery.config import ScoreConfig
from taskdiscovery.data import partition
from taskdiscovery.errors import DataError, NumericalError, WorkerError
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.training import (
    MONITORED,
    Request,
    Seeds,
    Workbench,
    predicted,
    warn_if_brief,
)
from taskdiscovery.types import BoolArray, Dataset, IdArray, IntArray, Labeling, Record, Score
from taskdiscovery.types.scores import RANDOM

_LOG = logging.getLogger("taskdiscovery")


@dataclass(frozen=True, eq=False, kw_only=True)
class View:
    """The images of all scores of a job: one choice, so that they compare.

    Attributes:
        fit: trained on.
        held: measured on; discovery has seen none of them.
        monitored: on which predictions must settle, with `early`; else None.
    """

    fit: IntArray
    held: IntArray
    monitored: IntArray | None


def view_of(dataset: Dataset, config: ScoreConfig, seen_N: BoolArray | None) -> View:
    """Draw the images that are trained and measured on.

    Args:
        dataset: the images.
        config: resolved.
        seen_N: (N,) True for images that may be trained on; by default the partition of the seed.
            Agreement is measured on the others only. Tasks that were discovered need the
            partition of their discovery, so that nothing it saw is ever scored.
    """
    seen_N = partition.of(dataset, config.seed) if seen_N is None else seen_N
    fit = partition.sample(np.flatnonzero(seen_N), config.train_images, config.seed, "fit")
    held = partition.sample(np.flatnonzero(~seen_N), config.test_images, config.seed, "held out")
    if not config.early:
        return View(fit=fit, held=held, monitored=None)
    # Images of the training part that are not trained on; where all are, a twentieth is set apart.
    beside_N = np.zeros(len(dataset), dtype=np.bool_)
    beside_N[fit] = True
    spare = np.flatnonzero(seen_N & ~partition.whole(beside_N, dataset.groups))
    if len(spare) < min(MONITORED, len(fit) // 20):
        if dataset.groups is None:
            spare = partition.sample(fit, max(1, len(fit) // 20), config.seed, "watched")
        else:
            rng = generator(config.seed, "sample", "watched")
            spare = partition.apart(fit, 0.05, rng, dataset.groups)
        fit = np.setdiff1d(fit, spare)
    monitored = partition.sample(spare, MONITORED, config.seed, "watched")
    return View(fit=fit, held=held, monitored=monitored)


def score(
    bench: Workbench, labelings: Sequence[Labeling], config: ScoreConfig, view: View
) -> Iterator[Score]:
    """Score labelings of a data set, one after the other.

    Args:
        bench: images, learner, executor; its journal remembers what is finished.
        labelings: images without a class take no part.
        config: resolved: preset, runs, what varies between runs.
        view: the images to train and measure on.

    Yields:
        The score of each labeling as it is finished.

    Raises:
        DataError: for a labeling with one class, or with too few images.
        NumericalError: where fewer than two runs end in finite weights.
        WorkerError: after all other scores, where a training ended every worker that took it up.
    """
    warn_if_brief(bench.learner, len(view.fit), config.preset)
    each = config.runs * bench.learner.recipe.epochs * len(view.fit)
    plans = [_Plan.make(bench, n, x, config, view) for n, x in enumerate(labelings)]
    journal = bench.journal
    lost: list[WorkerError] = []
    with bench.callbacks.stage("scoring", len(labelings) * each) as meter:
        todo = [plan for plan in plans if not journal.has(plan.key)]
        bench.executor.submit([request for plan in todo for request in plan.requests], meter)
        for plan in plans:
            known = journal.get(plan.key)
            if known is None:
                try:
                    result = _score_one(plan, config, bench, meter)
                except WorkerError as error:  # the other labelings are scored all the same
                    lost.append(error)
                    continue
                values = {**result.to_row(), "seconds": result.seconds}
                record = Record(values=values, arrays={"per_image": result.agreement_n})
                journal.put(plan.key, record, forget=f"{plan.key}/")
            else:
                result = Score(
                    **known.values,
                    agreement_n=known.arrays["per_image"],
                    rows_n=plan.held,
                    ids_n=bench.dataset.ids[plan.held],
                )
                meter.advance(each)
            meter.advance(0, f"{plan.labeling.name}: {result.agreement:.3f}")
            result = replace(result, images=bench.dataset.pictures)
            bench.callbacks.on_score(result, remembered=known is not None)
            yield result
    if lost:
        raise WorkerError(
            f"{len(lost)} of {len(labelings)} labelings are not scored: {lost[0].what}",
            where=lost[0].where,
            hint=lost[0].hint,
        )


def random_like(labeling: Labeling, seed: int) -> Labeling:
    """Return random labels with exactly the class rates of a labeling: its own, permuted."""
    labels_N = labeling.labels_N.copy()
    known = np.flatnonzero(labeling.known_N)
    labels_N[known] = generator(seed, "random labels").permutation(labels_N[known])
    return Labeling(name=RANDOM, classes=labeling.classes, labels_N=labels_N, ids_N=labeling.ids_N)


@dataclass(frozen=True, eq=False, kw_only=True)
class _Plan:
    """The runs of one labeling.

    Attributes:
        key: of its score in the journal.
        labeling: what is scored.
        held: test images with a class; all of them where none has one.
        requests: one a run.
    """

    key: str
    labeling: Labeling
    held: IntArray
    requests: tuple[Request, ...]

    @classmethod
    def make(
        cls, bench: Workbench, number: int, labeling: Labeling, config: ScoreConfig, view: View
    ) -> _Plan:
        """Plan the runs.

        Raises:
            DataError: for one class, or too few images.
        """
        known_N, key = labeling.known_N, f"score {number} {labeling.name}"
        fit, held = view.fit[known_N[view.fit]], view.held[known_N[view.held]]
        if not len(held) and bench.dataset.train_N is not None:
            held = view.held  # test images without labels: runs may agree on them all the same
        _check_shares(labeling, fit, held, config.runs)
        requests = []
        for run in range(config.runs):
            seeds, rows = _vary(config, fit, run, bench.dataset.groups)
            training = bench.training(labeling, rows, held, seeds, monitored=view.monitored)
            requests.append(Request(key=f"{key}/run {run}", training=training, keep=predicted))
        return cls(key=key, labeling=labeling, held=held, requests=tuple(requests))


def _check_shares(labeling: Labeling, fit: IntArray, held: IntArray, runs: int) -> None:
    """Refuse too few images or classes, and warn of one class that has nearly all images."""
    shares = np.bincount(labeling.labels_N[fit], minlength=max(1, labeling.k))
    if len(fit) < 2 * runs or len(held) < 1 or (shares > 0).sum() < 2:
        raise DataError(
            f"{labeling.name} has {len(fit)} training images of {int((shares > 0).sum())} "
            f"classes and {len(held)} test images",
            where=labeling.name,
            hint="give more images, or a labeling with at least two classes",
        )
    if shares.max() / shares.sum() > 0.95:
        _LOG.warning(
            "%s: %.0f %% of the images are of one class, so look at kappa rather than agreement",
            labeling.name,
            100 * shares.max() / shares.sum(),
        )


def _score_one(plan: _Plan, config: ScoreConfig, bench: Workbench, meter: Meter) -> Score:
    began = time.perf_counter()
    labeling, held = plan.labeling, plan.held
    predictions, failures = [], []
    for run, request in enumerate(plan.requests):
        try:
            predictions.append(bench.executor.result(request, meter).arrays["predicted"])
        except NumericalError as error:
            failures.append(error)
            _LOG.warning("%s, run %d: %s, counted as failed", labeling.name, run, error.what)
    if len(predictions) < 2:
        raise NumericalError(
            f"{len(failures)} of {config.runs} runs on {labeling.name} diverged",
            where=f"--learner {config.learner}",
            hint=failures[0].hint,
        )
    predictions_Kn = np.stack(predictions)
    groups_n = partition.draws(bench.dataset.groups, held)
    result = _result(labeling, held, predictions_Kn, config, groups_n)
    seconds = round(time.perf_counter() - began, 2)
    return replace(result, failed=len(failures), seconds=seconds)


def _result(
    labeling: Labeling,
    held: IntArray,
    predictions_Kn: IntArray,
    config: ScoreConfig,
    groups_n: IntArray | None = None,
) -> Score:
    """Return the score of K runs that predicted the classes of n test images."""
    truth_n = labeling.labels_N[held]
    found = agreement(predictions_Kn, labeling.k, groups_n)
    known_n = truth_n[truth_n >= 0]
    counted = known_n if len(known_n) else labeling.labels_N[labeling.known_N]
    rates = np.bincount(counted, minlength=labeling.k) / len(counted)
    # A run that was ended early has answered several times.
    right_Kn = (predictions_Kn[..., truth_n >= 0] == known_n).reshape(len(predictions_Kn), -1)
    return Score(
        task=labeling.name,
        learner=config.learner,
        preset=config.preset,
        precision=config.precision,
        runs=len(predictions_Kn),
        agreement=found.interval.mean,
        low=found.interval.low,
        high=found.interval.high,
        covers=found.interval.covers,
        chance=found.chance,
        kappa=found.kappa,
        rate=float(rates[1] if labeling.k == 2 else rates.max()),
        accuracy=float(right_Kn.mean()) if len(known_n) else float("nan"),
        agreement_n=found.per_image.astype(np.float32),
        rows_n=held,
        ids_n=labeling.ids_N[held],
        accuracies=tuple(right_Kn.mean(axis=1).tolist()) if len(known_n) else (),
    )


def _vary(
    config: ScoreConfig, fit: IntArray, run: int, groups: IdArray | None
) -> tuple[Seeds, IntArray]:
    """Return the seeds and the training images of one run."""
    varied = set(config.vary)
    if config.shared_order:
        varied.discard("order")
    seeds = Seeds(
        derive(config.seed, "init", run if "init" in varied else 0),
        derive(config.seed, "order", run if "order" in varied else 0),
    )
    if "data" not in varied:
        return seeds, fit
    return seeds, _disjoint(config, fit, groups)[run]


def _disjoint(config: ScoreConfig, fit: IntArray, groups: IdArray | None) -> list[IntArray]:
    """Cut training images into as many parts as there are runs."""
    parts = partition.cut(fit, config.runs, generator(config.seed, "disjoint data"), groups)
    return [np.sort(part) for part in parts]
