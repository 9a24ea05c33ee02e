"""How a learner fares on a split and its controls: equal images, fresh seeds, unseen images.

Axes: N images, K runs, C classes, V variants of the split.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.config import SplitConfig, TrainingConfig, is_convex
from taskdiscovery.data import partition
from taskdiscovery.errors import DataError, NumericalError
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.splits.choose import Choice
from taskdiscovery.splits.cuts import Sides
from taskdiscovery.splits.details import Beside
from taskdiscovery.splits.judging import Question
from taskdiscovery.training import Request, Seeds, predicted
from taskdiscovery.types import (
    TEST,
    TRAIN,
    WITHIN,
    BoolArray,
    Detail,
    IdArray,
    IntArray,
    Interval,
    Labeling,
)

_LOG = logging.getLogger("taskdiscovery")

HELD_OUT = 0.2  # share of the train side that is held out for `within`

Roles = NDArray[np.int8]


@dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
    """The images of one comparison.

    Attributes:
        fit: trained on; images that discovery may have seen.
        within: held out within the train side, seen by nothing.
        test: of the test side, seen by nothing.
    """

    fit: IntArray
    within: IntArray
    test: IntArray


@dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """What the runs of each variant gave.

    Attributes:
        accuracy: by variant, and `within` of the adversarial one.
        agreed: the same on those images alone on which all runs predict alike, with their share.
        details: what stands beside each accuracy.
        random_there: accuracy of the random split's networks on the test images of the adversarial
            one.
    """

    accuracy: dict[str, Interval]
    agreed: dict[str, dict[str, float]]
    details: dict[str, Detail]
    random_there: Interval


def roles_of(sides: Sides, seen: BoolArray, seed: int, groups: IdArray | None = None) -> Roles:
    """Give each image its role.

    A fifth of the train side is held out for `within`: first the images that discovery has not
    seen (on which it is measured), then others drawn from the seed; a group is held out whole.
    """
    role = np.full(len(seen), TEST, dtype=np.int8)
    role[sides.train] = TRAIN
    rng, side = generator(seed, "within"), np.flatnonzero(sides.train & sides.known)
    codes_N = None if groups is None else partition.codes(groups)
    if codes_N is None:
        side = rng.permutation(side)
    else:
        place_G = rng.permutation(int(codes_N.max()) + 1)
        side = side[np.argsort(place_G[codes_N[side]], kind="stable")]
    side = side[np.argsort(seen[side], kind="stable")]
    role[side[: round(HELD_OUT * len(side))]] = WITHIN
    role[sides.train & ~seen & (role == TRAIN)] = WITHIN
    if codes_N is not None:
        role[(role == TRAIN) & np.isin(codes_N, codes_N[role == WITHIN])] = WITHIN
    role[~sides.known] = -1
    return role


def equal_rows(
    roles: dict[str, Roles], target: Labeling, seen: BoolArray, config: SplitConfig
) -> dict[str, Rows]:
    """Choose the images of every comparison: equal numbers of each class in all variants.

    Raises:
        DataError: where a side is left without images of two classes.
    """
    pools: dict[str, list[list[IntArray]]] = {}
    for name, role in roles.items():
        rng = generator(config.seed, "rows", name)
        pools[name] = [
            [
                rng.permutation(np.flatnonzero((role == r) & part & (target.labels_N == c)))
                for c in range(target.k)
            ]
            for r, part in ((TRAIN, seen), (WITHIN, ~seen), (TEST, ~seen))
        ]
    counts_V3C = np.array([[[len(p) for p in ps] for ps in pool] for pool in pools.values()])
    least_3C = counts_V3C.min(axis=0)
    limits = (config.train_images, config.test_images, config.test_images)
    for r, limit in enumerate(limits):
        total = least_3C[r].sum()
        if limit is not None and total > limit:
            least_3C[r] = least_3C[r] * limit // total
    if (least_3C[0] > 0).sum() < 2 or least_3C[1].sum() == 0 or least_3C[2].sum() == 0:
        raise DataError(
            "a side of the split is left without images of two classes",
            where=f"--target {target.name}",
            hint="use --class-balanced, another task, or more images",
        )

    def chosen(pool: list[IntArray], r: int) -> IntArray:
        return np.sort(np.concatenate([p[:n] for p, n in zip(pool, least_3C[r], strict=True)]))

    return {
        name: Rows(fit=chosen(pool[0], 0), within=chosen(pool[1], 1), test=chosen(pool[2], 2))
        for name, pool in pools.items()
    }


def check_fresh(choice: Choice, rows: dict[str, Rows], seen: BoolArray, seeds: set[int]) -> None:
    """Make sure that nothing is reported on what discovery or the choice has used.

    Raises:
        RuntimeError: where an image or a seed leaks; a fault of this package.
    """
    for name, own in rows.items():
        measured = np.concatenate([own.within, own.test])
        if seen[measured].any() or np.isin(measured, choice.rows).any():
            raise RuntimeError(
                f"{name} would be measured on images that served to choose the split"
            )
        if np.isin(measured, own.fit).any():
            raise RuntimeError(f"{name} would be measured on images that it is trained on")
    if seeds & choice.seeds:
        raise RuntimeError("a seed that served to choose the split would be used again")


def run_seeds(config: TrainingConfig, run: int) -> Seeds:
    """Return the seeds of a reported run."""
    return Seeds(
        derive(config.seed, "report", run, "init"),
        derive(config.seed, "report", run, "order"),
    )


def measure(question: Question, rows: dict[str, Rows], beside: Beside, label: str = "") -> Measured:
    """Train `config.runs` runs on every variant, from seeds that chose nothing.

    Args:
        question: the target, and the learner on its bench.
        rows: the images of each variant.
        beside: what the images are known by.
        label: what the journal's keys begin with, where another learner is trained.

    Raises:
        NumericalError: where all runs of a variant diverge.
    """
    # Asked on the way: `within` of the adversarial split alone, the random one on its test images.
    asked = {name: replace(own, within=own.within[:0]) for name, own in rows.items()}
    asked["adversarial"] = rows["adversarial"]
    asked["random"] = replace(rows["random"], within=rows["adversarial"].test)
    found = _predictions(question, asked, label or "measure")
    truth_N = question.target.labels_N
    accuracy: dict[str, Interval] = {}
    agreed: dict[str, dict[str, float]] = {}
    details: dict[str, Detail] = {}
    for name, own in rows.items():
        before_KN, outside_KN = np.split(np.stack(found[name]), [len(asked[name].within)], axis=1)
        figures = {name: (outside_KN, own.test)}
        if name == "adversarial":
            figures["within"] = (before_KN, own.within)
        for figure, (predicted_KN, measured) in figures.items():
            accuracy[figure] = beside.mean(predicted_KN == truth_N[measured], measured)
            agreed[figure] = _where_runs_agree(predicted_KN, truth_N[measured])
            details[figure] = beside.detail(predicted_KN, measured, own.fit)
        if name == "random":
            there = rows["adversarial"].test
            random_there = beside.mean(before_KN == truth_N[there], there)
    return Measured(accuracy=accuracy, agreed=agreed, details=details, random_there=random_there)


def _predictions(
    question: Question, rows: dict[str, Rows], label: str
) -> dict[str, list[IntArray]]:
    """Return what each finite run of each variant predicts, on `within` and then on `test`."""
    bench, config = question.bench, question.config
    learner, truth_N = bench.learner, question.target.labels_N
    found: dict[str, list[IntArray]] = {name: [] for name in rows}
    total = sum(len(own.fit) for own in rows.values()) * config.runs * learner.recipe.epochs
    requests = {
        name: [_request(question, own, run, f"{label} {name}") for run in range(config.runs)]
        for name, own in rows.items()
    }
    with bench.callbacks.stage(f"measuring the split with {learner.name}", total) as meter:
        bench.executor.submit([request for own in requests.values() for request in own], meter)
        for name, own in rows.items():
            for run, request in enumerate(requests[name]):
                try:
                    done = bench.executor.result(request, meter).arrays["predicted"]
                except NumericalError as error:
                    _LOG.warning("%s, run %d: %s, counted as failed", name, run, error.what)
                    continue
                found[name].append(done)
                right = done[len(own.within) :] == truth_N[own.test]
                meter.advance(0, f"{name}: {right.mean():.3f}")
    missing = [name for name, own in found.items() if not own]
    if missing:
        raise NumericalError(
            f"all runs diverged on: {', '.join(missing)}",
            where=f"--learner {learner.name}",
            hint="lower --learning-rate, or use --precision float32",
        )
    return found


def _request(question: Question, own: Rows, run: int, label: str) -> Request:
    seeds, fit = run_seeds(question.config, run), own.fit
    measured = np.concatenate([own.within, own.test])
    if is_convex(question.bench.learner.name):  # runs on the same images would be one
        fit = np.sort(generator(seeds.order, "half").permutation(fit)[: (len(fit) + 1) // 2])
    training = question.bench.training(question.target, fit, measured, seeds)
    return Request(key=f"{label}/run {run}", training=training, keep=predicted)


def _where_runs_agree(predicted_KN: IntArray, truth_N: IntArray) -> dict[str, float]:
    alike_N = (predicted_KN == predicted_KN[0]).all(axis=0)
    right = float((predicted_KN[0] == truth_N)[alike_N].mean()) if alike_N.any() else float("nan")
    return {"accuracy": right, "share": float(alike_N.mean())}
