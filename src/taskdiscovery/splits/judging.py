"""How badly does a learner fare on a candidate? Judged cheaply first, then by brief trainings.

The first judgement is a ridge on the features of an untrained network: seconds for any number of
candidates. The others are brief trainings. All are made on images that may be trained on, and asked
of a validation part that none of them trains on.

Axes: N images, n training images, m measured images, F features, C classes, K runs, V validation
images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from taskdiscovery.config import SplitConfig, is_convex
from taskdiscovery.data import partition
from taskdiscovery.discovery import untrained
from taskdiscovery.networks.prediction import autocast
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.splits.cuts import Candidate, Sides
from taskdiscovery.training import Request, Seeds, Workbench
from taskdiscovery.types import BoolArray, Document, Float32, FloatArray, IntArray, Labeling, Record

#: features that a ridge looks at, at most; more are projected at random.
FEATURES = 512
#: added to the diagonal of standardized features' products.
STRENGTH = 10.0
#: images that a ridge is fitted to and judged on, at most.
RIDGE_FIT, RIDGE_VALIDATION = 4000, 2000


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

    def sides(self, candidate: Candidate) -> Sides:
        """Return the sides of a candidate; groups of the data are kept whole."""
        return candidate.sides(self.target, self.balanced).whole(self.bench.dataset.groups)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """How candidates are judged.

    Attributes:
        number: 0 for a ridge on features of an untrained network; brief trainings from 1.
        keep: how many candidates go on to the next rung.
        images: trained on in each run, at most.
        epochs, batch: of each run, at most.
        runs: trainings of each candidate, on images of their own.
        validation: images judged on, at most.
    """

    number: int
    keep: int
    images: int = 0
    epochs: int = 0
    batch: int = 0
    runs: int = 1
    validation: int = 1_000_000

    def passes(self, candidates: int) -> int:
        """Count the images that pass in the trainings of so many candidates."""
        return candidates * self.runs * self.images * self.epochs


@dataclass(frozen=True, eq=False, kw_only=True)
class Judged:
    """How a candidate fared.

    Attributes:
        candidate: the cut.
        right_KV: (K, V) whether each run was right on each validation image; NaN where the image is
            on the train side.
        images: trained on, in all runs.
        row: of the table.
    """

    candidate: Candidate
    right_KV: FloatArray
    images: int = 0
    row: Document = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Mean over runs and images of the test side."""
        return float(np.nanmean(self.right_KV))


class Judge:
    """Judges candidates on a validation part, and remembers how they fared.

    Args:
        question: what is to be split.

    Attributes:
        table: each candidate with its validation accuracy, in the order judged.
        seeds: of the trainings; none may be used again.
        validation: images on which candidates are judged.
        fit: images to train on.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.table: list[Document] = []
        self.seeds: set[int] = set()
        rows = np.flatnonzero(question.seen_N & question.target.known_N)
        rng, groups = generator(question.config.seed, "choose"), question.bench.dataset.groups
        self.validation: IntArray
        self.fit: IntArray
        if groups is None:
            rows = rng.permutation(rows)
            self.validation, self.fit = np.split(rows, [len(rows) // 5])
        else:
            self.validation, *others = partition.cut(rows, 5, rng, groups)
            self.fit = rng.permutation(np.concatenate(others))

    def judge(self, candidates: Sequence[Candidate], rung: Rung, meter: Meter) -> list[Judged]:
        """Return how each candidate fared that leaves enough to train on and to judge by.

        The lowest accuracy is first; candidates that are equal stay in order.
        """
        found = self._trained(candidates, rung, meter) if rung.number else self._ridged(candidates)
        for own in found:
            self._note(own, rung)
        return sorted(found, key=lambda own: own.accuracy)

    def _note(self, own: Judged, rung: Rung) -> None:
        candidate = own.candidate
        own.row.update(
            task=candidate.task.name,
            orientation=candidate.orientation,
            accuracy=own.accuracy,
            rung=rung.number,
            images=own.images,
            epochs=rung.epochs,
        )
        if len(candidate.group) > 2:
            own.row["group"] = np.flatnonzero(candidate.group).tolist()
        self.table.append(own.row)

    def _ridged(self, candidates: Sequence[Candidate]) -> list[Judged]:
        """Judge by a ridge on the features of an untrained network, all at once."""
        target, bench = self.question.target, self.question.bench
        fit, validation = self.fit[:RIDGE_FIT], self.validation[:RIDGE_VALIDATION]
        sides = [self.question.sides(candidate).train for candidate in candidates]

        def work(watch: object) -> Record:
            features_NF = self._features(fit, validation)
            fitted_nF, asked_mF = np.split(features_NF, [len(fit)])
            wanted_nC = np.eye(target.k)[target.labels_N[fit]]
            said = [
                _ridge(fitted_nF[own[fit]], wanted_nC[own[fit]], asked_mF).argmax(axis=1)
                if own[fit].any()
                else np.zeros(len(validation), dtype=np.int64)
                for own in sides
            ]
            return Record(arrays={"predicted": np.stack(said)})

        said = bench.journal.do("choose by ridge", work).arrays["predicted"]
        found = []
        for candidate, own, predicted_m in zip(candidates, sides, said, strict=True):
            if not self._enough(fit[own[fit]], validation[~own[validation]]):
                continue
            right_m = (predicted_m == target.labels_N[validation]).astype(np.float64)
            right_m[own[validation]] = np.nan
            found.append(Judged(candidate=candidate, right_KV=right_m[None]))
        return found

    def _features(self, fit: IntArray, validation: IntArray) -> Float32:
        """Return standardized features of both, a constant last."""
        bench, seed = self.question.bench, self.question.config.seed
        classes = self.question.target.k
        model = untrained.network(bench, classes, fit, derive(seed, "choose", "untrained"))
        with autocast(bench.images.device.type, bench.learner.precision):
            found = untrained.features(model, bench.images, np.concatenate([fit, validation]))
        if found.shape[1] > FEATURES:
            rng = generator(seed, "choose", "projection")
            found = found @ rng.standard_normal((found.shape[1], FEATURES)).astype(np.float32)
        own = found[: len(fit)]
        found = (found - own.mean(axis=0)) / np.maximum(own.std(axis=0), 1e-9)
        return np.hstack([found, np.ones((len(found), 1), dtype=np.float32)])

    def _trained(self, candidates: Sequence[Candidate], rung: Rung, meter: Meter) -> list[Judged]:
        """Judge by brief trainings."""
        validation, executor = self.validation[: rung.validation], self.question.bench.executor
        planned = [(c, self._plan(c, rung, validation)) for c in candidates]
        executor.submit([request for _, own in planned for request in own], meter)
        found = []
        for candidate, own in planned:
            if not own:
                continue
            said = [executor.result(request, meter).arrays["predicted"] for request in own]
            truth_V = self.question.target.labels_N[validation]
            right_KV = np.full((len(own), len(validation)), np.nan)
            tested_V = ~self.question.sides(candidate).train[validation]
            right_KV[:, tested_V] = np.stack(said) == truth_V[tested_V]
            images = sum(len(request.training.rows) for request in own)
            judged = Judged(candidate=candidate, right_KV=right_KV, images=images)
            meter.advance(0, f"{candidate.name}: {judged.accuracy:.3f}")
            found.append(judged)
        return found

    def _plan(self, candidate: Candidate, rung: Rung, validation: IntArray) -> list[Request]:
        """Plan the brief trainings of a candidate; none where it leaves too little."""
        train = self.question.sides(candidate).train
        fit, tested = self.fit[train[self.fit]], validation[~train[validation]]
        parts = np.array_split(fit[: rung.runs * rung.images], rung.runs)
        if not all(self._enough(part, tested) for part in parts):
            parts = [fit[: rung.images]] * rung.runs  # too few to give each run its own
        if not self._enough(parts[0], tested):
            return []
        return [
            self._request(candidate, rung, (run, part, tested)) for run, part in enumerate(parts)
        ]

    def _request(
        self, candidate: Candidate, rung: Rung, run_rows: tuple[int, IntArray, IntArray]
    ) -> Request:
        run, part, tested = run_rows
        seed, learner = self.question.config.seed, self.question.bench.learner
        turn = f"rung {rung.number}"
        init, order = (derive(seed, "choose", turn, run, what) for what in ("init", "order"))
        self.seeds |= {init, order}
        recipe = replace(
            learner.recipe,
            epochs=min(rung.epochs, learner.recipe.epochs),
            batch=min(rung.batch, learner.recipe.batch),
        )
        bench = replace(self.question.bench, learner=replace(learner, recipe=recipe))
        training = bench.training(self.question.target, np.sort(part), tested, Seeds(init, order))
        return Request(
            key=f"choose {turn} {candidate.name}/run {run}", training=training, keep=_predicted
        )

    def _enough(self, fit: IntArray, tested: IntArray) -> bool:
        """Say whether there are two classes to train on, and something to judge by."""
        labels_N = self.question.target.labels_N
        return len(np.unique(labels_N[fit])) >= 2 and len(tested) > 0


def ladder(question: Question, candidates: int, finalists: int) -> list[Rung]:
    """Return the rungs for so many candidates; one that would leave all of them is left out.

    Args:
        question: its learner decides whether there is a first rung that costs nothing.
        candidates: how many there are.
        finalists: that the last rung judges.
    """
    rungs = [
        Rung(number=0, keep=max(finalists, min(8, -(-candidates // 2)))),
        Rung(number=1, keep=finalists, images=1000, epochs=2, batch=64, validation=2000),
    ]
    if is_convex(question.bench.learner.name):  # solved at once, whatever the rung
        rungs = []
    last = Rung(number=2, keep=1, images=2000, epochs=3, batch=128, runs=2, validation=6000)
    found: list[Rung] = []
    for rung in rungs:
        if rung.keep < candidates:
            found.append(rung)
            candidates = rung.keep
    return [*found, last]


def _ridge(fitted_nF: Float32, wanted_nC: FloatArray, asked_mF: Float32) -> FloatArray:
    """Fit a ridge, and return (m, C) what it gives for others."""
    fitted = fitted_nF.astype(np.float64)
    gram = fitted.T @ fitted + STRENGTH * np.eye(fitted.shape[1])
    return np.asarray(asked_mF @ np.linalg.solve(gram, fitted.T @ wanted_nC), dtype=np.float64)


def _predicted(outputs: Tensor) -> Record:
    return Record(arrays={"predicted": outputs.argmax(dim=1).numpy()})
