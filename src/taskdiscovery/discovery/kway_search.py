"""The search of `pursuit` for tasks of more than two classes, and the curve over their number.

Axes: N training images in the order of the table, R reduced features, K classes, D tasks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch
from scipy.stats import sem
from threadpoolctl import threadpool_limits

from taskdiscovery.discovery import kway
from taskdiscovery.discovery.blocks import centre
from taskdiscovery.discovery.problem import Found, Problem
from taskdiscovery.discovery.pursuit_options import PursuitOptions
from taskdiscovery.discovery.tables import Prepared
from taskdiscovery.discovery.trivial import explained_by_statistics
from taskdiscovery.encoders.labelling import simplex
from taskdiscovery.errors import NumericalError
from taskdiscovery.types import Document, FloatArray, IntArray, Record

#: starts of binary tasks to one of these; never fewer than the least.
_FEWER, _LEAST = 36, 6
#: pairs of parts that stability is measured on, for each number of classes, and starts of each.
_REPEATS, _CURVE_STARTS = 4, 4
#: stabilities that differ by less are as good.
_ALIKE = 0.03
#: below it no number of classes is proposed.
_STABLE = 0.7
#: rounds on all rows, after those on the sample.
_REFINED = 3


def search(problem: Problem, options: PursuitOptions) -> Found:
    """Find tasks of K classes on features.

    Args:
        problem: with features.
        options: of the method.

    Raises:
        NumericalError: where every labeling loses a class.
    """
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        whole = Prepared.of(problem, options)
        searched = whole.within(whole.problem.constraints.groups)
        few = searched.some(options.sample)
        found, stability_S = _settled(few, options)
        chosen = _distinct(found, stability_S, options.cap, problem.classes, problem.tasks)
        labelings = [_everywhere(searched, few, found[s]) for s in chosen]
        made = _found(whole, labelings, stability_S[chosen])
    numbers = {"sample": len(few.problem.rows), "components": whole.blocks.table_NR.shape[1]}
    numbers |= {"starts": len(found)}
    return replace(made, numbers={**made.numbers, "pursuit": numbers})


def curve(problem: Problem, options: PursuitOptions) -> Document:
    """Measure the stability of labelings for each number of classes of `options.curve`.

    Returns:
        `stability`, for each number of classes its mean and standard error; `classes`, the number
        that is proposed, see `proposed`.
    """
    assert options.curve is not None
    low, high = (int(k) for k in options.curve)
    rows: list[Document] = []
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        whole = Prepared.of(problem, options)
        few = whole.within(whole.problem.constraints.groups).some(options.sample)
        with problem.workbench.callbacks.stage("stability", high - low + 1) as meter:
            for classes in range(low, high + 1):
                work = partial(_measured, few, classes, options)
                record = problem.workbench.journal.do(f"pursuit/curve/{classes}", work)
                rows.append({"classes": classes, **record.values})
                meter.advance(1, f"{classes} classes: {rows[-1]['mean']:.3f}")
    return {"stability": rows, "classes": proposed(rows)}


def proposed(rows: list[Document]) -> int | None:
    """Return the largest number of classes whose stability is as good as the greatest.

    That is by two standard errors of a difference, or by 0.03, whichever is more. Where the
    greatest is below 0.7, none is proposed.
    """
    best = max(rows, key=lambda row: row["mean"])
    if best["mean"] < _STABLE:
        return None

    def apart(row: Document) -> float:
        error = float(np.hypot(row["standard_error"], best["standard_error"]))
        return max(_ALIKE, 2 * error)

    as_good = [row for row in rows if row["mean"] >= best["mean"] - apart(row)]
    return int(max(row["classes"] for row in as_good))


def _measured(few: Prepared, classes: int, options: PursuitOptions, watch: object) -> Record:
    values = [
        kway.independent_stability(few, classes, _CURVE_STARTS, options.rounds, repeat)
        for repeat in range(_REPEATS)
    ]
    mean, error = float(np.mean(values)), float(sem(values))
    return Record(values={"mean": round(mean, 4), "standard_error": round(error, 4)})


def _settled(few: Prepared, options: PursuitOptions) -> tuple[list[IntArray], FloatArray]:
    """Return the labelings that all starts end in, and the stability of each."""
    problem, count = few.problem, max(_LEAST, options.starts // _FEWER)
    classes, found, stable = problem.classes, [], []
    with problem.workbench.callbacks.stage("pursuit", count) as meter:
        for number, labels_N in enumerate(kway.begun(few, classes, count)):

            def work(watch: object, labels_N: IntArray = labels_N, number: int = number) -> Record:
                settled = kway.settle(few.blocks, labels_N, classes, options.rounds, number)
                own = kway.stability(few, settled.labels_N, classes, options.rounds)
                return Record(
                    values={"stability": own},
                    arrays={"labels": settled.labels_N.astype(np.int16)},
                )

            record = problem.workbench.journal.do(f"pursuit/{classes}/{number}", work)
            own_N = record.arrays["labels"].astype(np.int64)
            if kway.has_all(own_N, classes):
                found.append(own_N)
                stable.append(float(record.values["stability"]))
            meter.advance(1)
    if not found:
        raise NumericalError(
            f"no labeling keeps {classes} classes: some lose all of their images",
            where=f"--classes {classes}",
            hint="ask for fewer classes; --curve 2,12 measures which numbers are stable",
        )
    return found, np.array(stable)


def _distinct(
    found: list[IntArray], stability_S: FloatArray, cap: float, classes: int, most: int
) -> list[int]:
    """Return the positions of labelings, the most stable first, that do not say the same."""
    chosen: list[int] = []
    for s in np.argsort(-stability_S, kind="stable"):
        alike = (kway.renamed_agreement(found[s], found[c], classes) for c in chosen)
        if len(chosen) < most and all(own <= cap for own in alike):
            chosen.append(int(s))
    return chosen


def _everywhere(searched: Prepared, few: Prepared, labels_n: IntArray) -> kway.Labels:
    """Return a labeling of the sample as it settles on all rows."""
    K, labels_N = searched.problem.classes, labels_n
    if few is not searched:
        labels_N = kway.predicted(few.blocks, labels_n, K, searched.blocks.table_NR)
    return kway.settle(searched.blocks, labels_N, K, _REFINED, 0)


def _found(whole: Prepared, labelings: list[kway.Labels], stability_D: FloatArray) -> Found:
    """Fit the encoder to the labelings, and say what is known of them."""
    problem, K = whole.problem, whole.problem.classes
    corners_KC = simplex(K) * (K - 1) / K  # from centred scores to coordinates that give them again
    weights, shifts = [], []
    for own in labelings:
        targets_NK = np.eye(K, dtype=np.float32)[own.labels_N]
        rates_K = targets_NK.mean(axis=0, dtype=np.float64)
        centre(targets_NK)
        weights_RK = whole.blocks.fit(targets_NK)
        scores_NK = whole.blocks.predict(weights_RK)
        scale = max(float(scores_NK.std()), 1e-12)
        weights.append(weights_RK @ corners_KC / scale)
        shifts.append(kway.offsets(scores_NK, rates_K) / scale)
    weights_RC = np.concatenate(weights, axis=1)
    encoder = whole.encoder(weights_RC, np.zeros(weights_RC.shape[1]), K, np.stack(shifts))
    assert problem.features is not None
    quality = {
        "stability": stability_D,
        "repeated": np.array([own.repeated for own in labelings]),
    }
    trivial_C = explained_by_statistics(problem, whole.blocks.predict(weights_RC))
    if trivial_C is not None:
        quality["explained_by_statistics"] = trivial_C.reshape(-1, K - 1).mean(axis=1)
    return Found(
        encoder=encoder,
        outputs=encoder.transform(problem.features, problem.workbench.learner.device),
        quality=quality,
        numbers={"learner": "ridge", "features": whole.described()},
    )
