"""Which cut is worst for the target? Chosen on a validation part of `train`, by successive halving.

Many candidates are judged cheaply, the worst of them with more images and epochs, and so on: see
`judging.ladder`. Without `--search` the candidates are the tasks in one orientation, and the worst
is judged in the other as well. With it, all tasks in both, and in other groupings of the classes.

Finalists are judged by two trainings each, on images of their own. How sure the choice is among
them follows from those: images are drawn again, and runs vary as the pairs of trainings did.

Axes: F finalists, K runs, V validation images, B draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from taskdiscovery.data import partition
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.splits.cuts import Candidate, groups_of, orientations, other_groupings
from taskdiscovery.splits.judging import Judge, Judged, Question, Rung, ladder
from taskdiscovery.types import Document, FloatArray, IntArray, Labeling

GROUPINGS, FINALISTS, DRAWS = 4, 3, 10_000


@dataclass(eq=False, kw_only=True)
class Choice:
    """What was chosen, and what served to choose it.

    Attributes:
        candidate: the cut that was worst.
        table: each candidate with its validation accuracy, in the order judged; those of the last
            rung with `worst`, the probability that they are the worst of them.
        rows: images on which candidates were judged; nothing may be reported on them.
        seeds: of the trainings that judged; none may be used again.
    """

    candidate: Candidate
    table: list[Document] = field(default_factory=list)
    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    seeds: set[int] = field(default_factory=set)


def choose(question: Question, tasks: Sequence[Labeling]) -> Choice:
    """Find the cut that is worst for the target on the validation part.

    Args:
        question: what is to be split, and what may be used for it.
        tasks: binary labelings to cut along.

    Raises:
        DataError: where no cut leaves two classes on its train side.
    """
    config = question.config
    ways = orientations(config.orientation)
    candidates = _candidates(question, tasks, ways)
    if len(candidates) == len(ways) == 1:
        return Choice(candidate=candidates[0])
    judge = Judge(question)
    rungs = ladder(question, len(candidates), FINALISTS)
    more = 0 if config.search else len(ways) - 1  # the worst, turned
    passes = _passes(rungs, len(candidates), more)
    with question.bench.callbacks.stage("choosing the split", passes) as meter:
        for rung in rungs:
            found = judge.judge(candidates, rung, meter)
            candidates = [own.candidate for own in found[: rung.keep]]
        if more and found:
            turned = [replace(found[0].candidate, orientation=way) for way in ways[1:]]
            found = [*judge.judge(turned, rungs[-1], meter), *found]
    if not found:
        raise DataError(
            "no task leaves two classes on its train side",
            where=f"--target {question.target.name}",
            hint="use --class-balanced, or another target",
        )
    _say_how_sure(judge, found)
    return Choice(
        candidate=min(found, key=lambda own: own.accuracy).candidate,
        table=judge.table,
        rows=judge.validation,
        seeds=judge.seeds,
    )


def _candidates(
    question: Question, tasks: Sequence[Labeling], ways: Sequence[str]
) -> list[Candidate]:
    """Return the cuts that are judged first."""
    target, config = question.target, question.config
    first = [Candidate(task=t, orientation=ways[0], group=groups_of(t, target)) for t in tasks]
    if not config.search:
        return first
    found = [replace(c, orientation=way) for way in ways for c in first]
    others = list(other_groupings(target.k, GROUPINGS, config.seed))
    return found + [replace(c, group=group) for group in others for c in found]


def _passes(rungs: Sequence[Rung], left: int, more: int) -> int:
    """Count the images that pass in all trainings of the choice."""
    total = 0
    for rung in rungs:
        total += rung.passes(left)
        left = min(left, rung.keep)
    return total + rungs[-1].passes(more)


def _say_how_sure(judge: Judge, found: Sequence[Judged]) -> None:
    """Enter into the table the probability that each finalist is the worst of them."""
    groups = judge.question.bench.dataset.groups
    codes_V = None if groups is None else partition.codes(groups[judge.validation])
    rng = generator(judge.question.config.seed, "choose", "how sure")
    odds_F = worst_of([own.right_KV for own in found], rng, codes_V)
    for own, probability in zip(found, odds_F.tolist(), strict=True):
        own.row["worst"] = probability


def worst_of(
    right_FKV: Sequence[FloatArray], rng: np.random.Generator, codes_V: IntArray | None = None
) -> FloatArray:
    """Return (F,) the probability that each candidate has the lowest accuracy of them.

    Accuracies are drawn from a normal law. Its covariance is that of means over the same images
    drawn anew, so that what is easy for all candidates is so in every draw. On top, the mean of
    each candidate's runs varies by what its runs differ by, pooled over candidates (Student's t);
    by nothing where each has one run.

    Args:
        right_FKV: of each candidate (K, V) whether each run was right, NaN where an image is not on
            its test side.
        rng: decides the draws.
        codes_V: groups of the images, numbers from 0; a group is one draw.
    """
    means_FV = np.stack([own.mean(axis=0) for own in right_FKV])
    asked_FV = ~np.isnan(means_FV)
    mean_F = np.nanmean(means_FV, axis=1)
    # What each image adds to the error of each mean; two imagined images keep it above nothing.
    counts_F = asked_FV.sum(axis=1, keepdims=True)
    influence_FV = np.nan_to_num(means_FV - mean_F[:, None]) / counts_F
    if codes_V is not None:
        influence_FV = np.stack([np.bincount(codes_V, weights=own) for own in influence_FV])
    covariance_FF = influence_FV @ influence_FV.T + np.diag(0.5 / counts_F[:, 0] ** 2)
    drawn_BF = rng.multivariate_normal(mean_F, covariance_FF, size=DRAWS)
    runs = [np.nanmean(own, axis=1) for own in right_FKV]
    freedom = sum(len(own) - 1 for own in runs)
    if freedom:
        pooled = sum(float(((own - own.mean()) ** 2).sum()) for own in runs) / freedom
        spread_F = np.array([(pooled / len(own)) ** 0.5 for own in runs])
        drawn_BF = drawn_BF + rng.standard_t(freedom, size=drawn_BF.shape) * spread_F
    return np.bincount(drawn_BF.argmin(axis=1), minlength=len(right_FKV)) / DRAWS
