"""Which cut is worst for the target? Chosen on a validation part of `train`, by brief trainings.

Without `--search` every task is tried in one orientation, the worst two in the other as well. With
it, every task in both, then other groupings of the classes, and the worst are judged again with
more images and other seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from taskdiscovery.config import SplitConfig
from taskdiscovery.errors import DataError
from taskdiscovery.executors import Executor, Piece
from taskdiscovery.journal import Unit
from taskdiscovery.progress import Meter, meter
from taskdiscovery.seeds import derive, generator
from taskdiscovery.splits.cuts import Candidate, Cut, orientations, other_groupings
from taskdiscovery.stage import Stage
from taskdiscovery.types import BoolArray, IntArray, Target

IMAGES, EPOCHS = 4000, 4  # of a brief training
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
    table: list[dict[str, object]] = field(default_factory=list)
    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    seeds: set[int] = field(default_factory=set)


def choose(
    stage: Stage,
    target: Target,
    cuts: Sequence[Cut],
    config: SplitConfig,
    seen: BoolArray,
    balanced: bool,
    crew: Executor,
) -> Choice:
    """Find the cut that is worst for the target on the validation part.

    Args:
        stage: images, normalization, learner.
        target: the human labeling.
        cuts: the tasks.
        config: orientation, search, seed.
        seen: (N,) images that may be trained on.
        balanced: whether to cut within each class.
        crew: does the trainings.

    Raises:
        DataError: where no cut leaves two classes on its train side.
    """
    ways = orientations(config.orientation)
    first = [Candidate(cut=c, orientation=ways[0], group=c.groups(target)) for c in cuts]
    if len(first) == 1 and len(ways) == 1 and not config.search:
        return Choice(candidate=first[0])
    judge = _Judge(stage, target, config, seen, balanced, crew)
    more = 2 + len(cuts) * (len(ways) - 1) + GROUPINGS * FINALISTS if config.search else 2
    with meter("choosing the split", judge.cost * (len(cuts) + more)) as bar:
        judge.try_all(first, bar)
        if not config.search:
            turned = [replace(c, orientation=w) for c in judge.worst(2) for w in ways[1:]]
            judge.try_all(turned, bar)
        else:
            judge.try_all([replace(c, orientation=w) for c in first for w in ways[1:]], bar)
            groups = list(other_groupings(target.k, GROUPINGS, config.seed))
            judge.try_all([replace(c, group=g) for c in judge.worst(2) for g in groups], bar)
            judge.judge_again(judge.worst(FINALISTS), bar)
    if not judge.found:
        raise DataError(
            "no task leaves two classes on its train side",
            where=f"--target {target.name}",
            mend="use --class-balanced, or another target",
        )
    return Choice(
        candidate=judge.worst(1)[0],
        table=judge.table,
        rows=judge.validation,
        seeds=judge.seeds,
    )


class _Judge:
    """Trains briefly on candidates, and remembers how they fared."""

    def __init__(
        self,
        stage: Stage,
        target: Target,
        config: SplitConfig,
        seen: BoolArray,
        balanced: bool,
        crew: Executor,
    ) -> None:
        rows = generator(config.seed, "choose").permutation(np.flatnonzero(seen & target.known))
        self.validation, self.fit = np.split(rows, [len(rows) // 5])
        recipe = stage.learner.recipe
        brief = replace(recipe, epochs=min(EPOCHS, recipe.epochs))
        self.stage = replace(stage, learner=replace(stage.learner, recipe=brief))
        self.target, self.config, self.balanced = target, config, balanced
        self.crew = crew
        self.cost = min(IMAGES, len(self.fit) // 2) * brief.epochs
        self.found: dict[str, tuple[Candidate, float]] = {}
        self.again: dict[str, float] = {}
        self.table: list[dict[str, object]] = []
        self.seeds: set[int] = set()

    def try_all(self, candidates: Sequence[Candidate], bar: Meter) -> None:
        """Judge each once."""
        for candidate, accuracy in self._accuracies(candidates, IMAGES, "first", bar):
            self.found[candidate.name] = (candidate, accuracy)
            self._note(candidate, accuracy)

    def judge_again(self, candidates: Sequence[Candidate], bar: Meter) -> None:
        """Judge the finalists with more images and other seeds; these figures decide."""
        for candidate, accuracy in self._accuracies(candidates, 2 * IMAGES, "again", bar):
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
        row: dict[str, object] = {
            "task": candidate.cut.name,
            "orientation": candidate.orientation,
            "accuracy": accuracy,
        }
        if len(candidate.group) > 2:
            row["group"] = np.flatnonzero(candidate.group).tolist()
        self.table.append(row)

    def _plan(self, candidate: Candidate, images: int, turn: str) -> Piece | None:
        """Plan a brief training, if the candidate leaves enough to train on and to judge by."""
        labels = self.target.labels
        sides = candidate.sides(self.target, self.balanced)
        train_rows = np.sort(self.fit[sides.train[self.fit]][:images])
        test_rows = self.validation[~sides.train[self.validation]]
        if len(np.unique(labels[train_rows])) < 2 or len(test_rows) == 0:
            return None
        init = derive(self.config.seed, "choose", turn, "init")
        order = derive(self.config.seed, "choose", turn, "order")
        self.seeds |= {init, order}
        training = self.stage.training(
            labels, self.target.k, train_rows, test_rows, init_seed=init, order_seed=order
        )

        def keep(outputs: Tensor) -> Unit:
            right = outputs.argmax(dim=1).numpy() == labels[test_rows]
            return Unit(values={"accuracy": float(right.mean())})

        return Piece(key=f"choose {turn} {candidate.name}", training=training, keep=keep)

    def _accuracies(
        self, candidates: Sequence[Candidate], images: int, turn: str, bar: Meter
    ) -> Iterator[tuple[Candidate, float]]:
        """Yield each candidate that can be judged with its accuracy."""
        planned = [(c, self._plan(c, images, turn)) for c in candidates]
        self.crew.begin([piece for _, piece in planned if piece is not None], bar)
        for candidate, piece in planned:
            if piece is None:
                continue
            accuracy = float(self.crew.unit(piece, bar).values["accuracy"])
            bar.advance(0, f"{candidate.name}: {accuracy:.3f}")
            yield candidate, accuracy
