"""Does a network follow a cue? It is asked: pictures with the view exchanged, and pictures in which
the view says another class than the rest.

Every image is judged by a network that was not trained on it: one network a fold.

Axes: N images, n of them asked about, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from taskdiscovery.analysis.measures import wilson
from taskdiscovery.auditing import rules
from taskdiscovery.auditing.likeness import changed
from taskdiscovery.auditing.presence import Finding
from taskdiscovery.auditing.sides import Sides
from taskdiscovery.config import AuditConfig
from taskdiscovery.data import partition
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.store.journal import Journal
from taskdiscovery.training.members import Member
from taskdiscovery.types import (
    BoolArray,
    Dataset,
    ImageArray,
    IntArray,
    Interval,
    Labeling,
    Record,
)

#: images of a fold that are asked about with views exchanged, at most.
_ASKED = 1000
#: fewer images of a kind say nothing.
_FEWEST = 10


@dataclass(frozen=True, eq=False, kw_only=True)
class Cause:
    """A view that is present for a class, and what a network is asked of it.

    Attributes:
        finding: of the view and the class.
        class_name: the class.
        sides: where the view tells the class, and where another.
    """

    finding: Finding
    class_name: str
    sides: Sides

    @property
    def key(self) -> str:
        """Its name in records."""
        return f"{self.finding.view.name}/{self.class_name}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Usage:
    """What networks do with a view; as of `Cue`."""

    follows: Interval | None
    aligned: Interval | None
    conflict: Interval | None

    @property
    def used(self) -> bool | None:
        """Whether they follow it; None where they could not be asked.

        The gap counts only where the view cannot be exchanged: pictures in which a view tells
        another class may be hard for other reasons.
        """
        if self.follows is not None:
            return self.follows.mean >= rules.FOLLOWS and self.follows.low > 0
        if self.aligned is not None and self.conflict is not None:
            gap = self.aligned.mean - self.conflict.mean
            return gap >= rules.GAP and self.aligned.low > self.conflict.high
        return None


def ask(
    dataset: Dataset,
    labeling: Labeling,
    causes: Sequence[Cause],
    config: AuditConfig,
    journal: Journal,
    callbacks: Callbacks,
) -> list[Usage]:
    """Train a network a fold, and ask each about the images of its fold.

    Args:
        dataset: the images.
        labeling: what the networks learn.
        causes: of this labeling.
        config: resolved.
        journal: remembers what each network has answered.
        callbacks: told of progress.

    Returns:
        One for each cause.

    Raises:
        NumericalError: where training diverges.
    """
    from taskdiscovery.executors import workbench
    from taskdiscovery.splits.measure import run_seeds
    from taskdiscovery.training.members import kept

    rows = np.flatnonzero(labeling.known_N)
    # So many that each network is trained on as many as are asked for.
    most = config.train_images and config.train_images * config.runs // (config.runs - 1)
    rows = partition.sample(rows, most, config.seed, "audit networks")
    rng = generator(config.seed, "audit networks", "folds")
    folds = partition.cut(rows, config.runs, rng, dataset.groups)
    answers: list[Record] = []
    with workbench(dataset, config, config.learner_of(), rows, journal, callbacks) as bench:
        passes = config.recipe.epochs * len(rows) * (config.runs - 1)
        with callbacks.stage(f"asking {config.learner}: {labeling.name}", passes) as meter:
            for k, held in enumerate(folds):
                key = f"audit {labeling.name} network {k}"
                known = journal.get(key)
                if known is None:
                    fit = np.setdiff1d(rows, held)
                    training = bench.training(labeling, fit, fit[:1], run_seeds(config, k))
                    network = kept(training, bench.images, meter)
                    known = _answers(network, dataset, labeling, np.sort(held), causes)
                    journal.put(key, known)
                answers.append(known)
    known_rows = np.flatnonzero(labeling.known_N)
    return [_usage(c, cause, known_rows, answers, labeling) for c, cause in enumerate(causes)]


def _answers(
    network: Member, dataset: Dataset, labeling: Labeling, held: IntArray, causes: Sequence[Cause]
) -> Record:
    """Ask a network about the images of its fold, as they are and with views exchanged."""
    plain_n = network.probabilities(dataset.images[held]).argmax(axis=1)
    arrays = {"rows": held, "plain": plain_n}
    for c, cause in enumerate(causes):
        wanted = labeling.classes.index(cause.class_name)
        flips = _flips(network, dataset, held, plain_n == wanted, (labeling, cause))
        if flips is not None:
            arrays[f"toward {c}"], arrays[f"away {c}"] = flips
    return Record(arrays=arrays)


def _flips(
    network: Member,
    dataset: Dataset,
    held: IntArray,
    says_n: BoolArray,
    asked: tuple[Labeling, Cause],
) -> tuple[IntArray, IntArray] | None:
    """Exchange a view, or do what made the difference.

    Returns:
        Of each picture that was given the other side's view, 1 where the decision became that
        side's; of each that was given its own side's, 1 where it changed. None where the view
        cannot be exchanged.
    """
    labeling, cause = asked
    wanted = labeling.classes.index(cause.class_name)
    view, likeness = cause.finding.view, cause.finding.likeness
    rng = generator(0, "exchange", cause.key)
    few = np.sort(rng.permutation(len(held))[:_ASKED])
    upper_n = labeling.labels_N[held[few]] == wanted
    images, says_n = dataset.images[held[few]], says_n[few]

    def decided(pictures: ImageArray) -> BoolArray:
        return np.asarray(network.probabilities(pictures).argmax(axis=1) == wanted)

    if likeness is not None:
        # Only the side that lacks it can be given it.
        now_n = decided(changed(likeness, images, 0))
        has_n = upper_n == likeness.upper
        to = likeness.upper
        return _bits((now_n == to) & (says_n != to), ~has_n), _bits(now_n != says_n, has_n)
    if view.exchange is None:
        return None
    sides = [np.flatnonzero(upper_n == side) for side in (False, True)]
    if min(map(len, sides)) < 2:
        return None
    other_n, same_n = (
        np.array([rng.choice(sides[int(up != across)]) for up in upper_n])
        for across in (True, False)
    )
    across_n = decided(view.exchange(images, images[other_n]))
    within_n = decided(view.exchange(images, images[same_n]))
    every = np.ones(len(few), dtype=np.bool_)
    became_n = (across_n != upper_n) & (says_n == upper_n)
    return _bits(became_n, every), _bits(within_n != says_n, every)


def _bits(values_n: BoolArray, of_n: BoolArray) -> IntArray:
    return values_n[of_n].astype(np.int64)


def _usage(
    c: int, cause: Cause, rows: IntArray, answers: Sequence[Record], labeling: Labeling
) -> Usage:
    """Put together what all networks have said of a cause."""
    asked = np.concatenate([answer.arrays["rows"] for answer in answers])
    said = np.concatenate([answer.arrays["plain"] for answer in answers])
    right = dict(zip(asked.tolist(), (said == labeling.labels_N[asked]).tolist(), strict=True))
    both: list[Interval | None] = [None, None]
    if cause.sides.heaps:
        both = [
            _share([right[row] for row in rows[own].tolist() if row in right])
            for own in (cause.sides.aligned, cause.sides.conflict)
        ]
    follows = None
    if f"toward {c}" in answers[0].arrays:
        toward, away = (
            np.concatenate([answer.arrays[f"{name} {c}"] for answer in answers])
            for name in ("toward", "away")
        )
        follows = _difference(toward, away)
    return Usage(follows=follows, aligned=both[0], conflict=both[1])


def _share(right: Sequence[bool]) -> Interval | None:
    """Return an accuracy with Wilson's interval; None of too few."""
    if len(right) < _FEWEST:
        return None
    mean = float(np.mean(right))
    low, high = wilson(mean, len(right))
    return Interval(mean=mean, low=low, high=high, covers="images")


def _difference(toward: IntArray, away: IntArray) -> Interval | None:
    """Return the difference of two shares with its 95 % interval; None of too few."""
    if min(len(toward), len(away)) < _FEWEST:
        return None
    mean = float(toward.mean() - away.mean())
    error = float(np.sqrt(toward.var() / len(toward) + away.var() / len(away)))
    return Interval(mean=mean, low=mean - 1.96 * error, high=mean + 1.96 * error, covers="images")
