"""Which cut is worst for the target? Chosen on a validation part of `train`, by brief trainings.

Without `--search` every task is tried in one orientation, the worst two in the other as well. With
it, every task in both, then other groupings of the classes, and the worst are judged again with
more images and other seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.splits.cuts import Candidate, groups_of, orientations, other_groupings
from taskdiscovery.splits.judging import Judge, Question
from taskdiscovery.types import Document, IntArray, Labeling

GROUPINGS, FINALISTS = 4, 3


@dataclass(eq=False, kw_only=True)
class Choice:
    """What was chosen, and what served to choose it.

    Attributes:
        candidate: the cut that was worst.
        table: each candidate with its validation accuracy, in the order tried.
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
    target, config = question.target, question.config
    ways = orientations(config.orientation)
    first = [Candidate(task=t, orientation=ways[0], group=groups_of(t, target)) for t in tasks]
    if len(first) == 1 and len(ways) == 1 and not config.search:
        return Choice(candidate=first[0])
    judge = Judge(question)
    more = 2 + len(tasks) * (len(ways) - 1) + GROUPINGS * FINALISTS if config.search else 2
    passes = judge.cost * (len(tasks) + more)
    with question.bench.callbacks.stage("choosing the split", passes) as meter:
        judge.try_all(first, meter)
        if not config.search:
            turned = [replace(c, orientation=w) for c in judge.worst(2) for w in ways[1:]]
            judge.try_all(turned, meter)
        else:
            judge.try_all([replace(c, orientation=w) for c in first for w in ways[1:]], meter)
            groups = list(other_groupings(target.k, GROUPINGS, config.seed))
            judge.try_all([replace(c, group=g) for c in judge.worst(2) for g in groups], meter)
            judge.judge_again(judge.worst(FINALISTS), meter)
    if not judge.found:
        raise DataError(
            "no task leaves two classes on its train side",
            where=f"--target {target.name}",
            hint="use --class-balanced, or another target",
        )
    return Choice(
        candidate=judge.worst(1)[0],
        table=judge.table,
        rows=judge.validation,
        seeds=judge.seeds,
    )
