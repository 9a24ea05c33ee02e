"""How badly does a learner fare on a candidate? Judged by a brief training.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from taskdiscovery.config import SplitConfig
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.splits.cuts import Candidate
from taskdiscovery.training import Request, Seeds, Workbench
from taskdiscovery.types import BoolArray, Document, IntArray, Labeling, Record

IMAGES, EPOCHS = 4000, 4  # of a brief training


@dataclass(frozen=True, eq=False, kw_only=True)
class Question:
    """What is to be split, and what may be used for it.

    Attributes:
        bench: images, normalization, learner, executor.
        target: the human labeling.
        config: resolved.
        seen_N: (N,) images that may be trained on.
        balanced: whether cuts are made within each class.
    """

    bench: Workbench
    target: Labeling
    config: SplitConfig
    seen_N: BoolArray
    balanced: bool


@dataclass(eq=False)
class Judge:
    """Trains briefly on candidates, and remembers how they fared.

    Attributes:
        question: what is to be split.
        table: each candidate with its validation accuracy, in the order tried.
        seeds: of the trainings; none may be used again.
        validation: images on which candidates are judged.
        fit: images to train on.
    """

    question: Question
    found: dict[str, tuple[Candidate, float]] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)
    table: list[Document] = field(default_factory=list)
    seeds: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        own = self.question
        rows = np.flatnonzero(own.seen_N & own.target.known_N)
        rows = generator(own.config.seed, "choose").permutation(rows)
        self.validation: IntArray
        self.fit: IntArray
        self.validation, self.fit = np.split(rows, [len(rows) // 5])
        learner = own.bench.learner
        brief = replace(learner.recipe, epochs=min(EPOCHS, learner.recipe.epochs))
        self.bench = replace(own.bench, learner=replace(learner, recipe=brief))
        #: images that pass in a brief training.
        self.cost = min(IMAGES, len(self.fit) // 2) * brief.epochs

    def try_all(self, candidates: Sequence[Candidate], meter: Meter) -> None:
        """Judge each once."""
        for candidate, accuracy in self._accuracies(candidates, IMAGES, "first", meter):
            self.found[candidate.name] = (candidate, accuracy)
            self._note(candidate, accuracy)

    def judge_again(self, candidates: Sequence[Candidate], meter: Meter) -> None:
        """Judge the finalists with more images and other seeds; these figures decide."""
        for candidate, accuracy in self._accuracies(candidates, 2 * IMAGES, "again", meter):
            self.again[candidate.name] = accuracy
            self._note(candidate, accuracy)

    def worst(self, count: int) -> list[Candidate]:
        """Return those of the lowest accuracy."""
        if self.again:
            names = sorted(self.again, key=lambda name: self.again[name])[:count]
            return [self.found[name][0] for name in names]
        ranked = sorted(self.found.values(), key=lambda item: item[1])
        return [candidate for candidate, _ in ranked[:count]]

    def _note(self, candidate: Candidate, accuracy: float) -> None:
        row: Document = {
            "task": candidate.task.name,
            "orientation": candidate.orientation,
            "accuracy": accuracy,
        }
        if len(candidate.group) > 2:
            row["group"] = np.flatnonzero(candidate.group).tolist()
        self.table.append(row)

    def _plan(self, candidate: Candidate, images: int, turn: str) -> Request | None:
        """Plan a brief training, if the candidate leaves enough to train on and to judge by."""
        target, seed = self.question.target, self.question.config.seed
        labels_N = target.labels_N
        sides = candidate.sides(target, self.question.balanced)
        train_rows = np.sort(self.fit[sides.train[self.fit]][:images])
        test_rows = self.validation[~sides.train[self.validation]]
        if len(np.unique(labels_N[train_rows])) < 2 or len(test_rows) == 0:
            return None
        seeds = Seeds(derive(seed, "choose", turn, "init"), derive(seed, "choose", turn, "order"))
        self.seeds |= set(seeds)
        training = self.bench.training(target, train_rows, test_rows, seeds)

        def keep(outputs: Tensor) -> Record:
            right = outputs.argmax(dim=1).numpy() == labels_N[test_rows]
            return Record(values={"accuracy": float(right.mean())})

        return Request(key=f"choose {turn} {candidate.name}", training=training, keep=keep)

    def _accuracies(
        self, candidates: Sequence[Candidate], images: int, turn: str, meter: Meter
    ) -> Iterator[tuple[Candidate, float]]:
        """Yield each candidate that can be judged with its accuracy."""
        planned = [(c, self._plan(c, images, turn)) for c in candidates]
        executor = self.bench.executor
        executor.submit([request for _, request in planned if request is not None], meter)
        for candidate, request in planned:
            if request is None:
                continue
            accuracy = float(executor.result(request, meter).values["accuracy"])
            meter.advance(0, f"{candidate.name}: {accuracy:.3f}")
            yield candidate, accuracy
