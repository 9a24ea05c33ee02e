"""Which views do labels go with, beyond what the content explains?

Axes: N images, n of them labelled, Y binary labelings (each class against the rest).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from taskdiscovery.auditing import rules, statistics
from taskdiscovery.auditing.likeness import Likeness, likeness
from taskdiscovery.auditing.modes import Modes, modes
from taskdiscovery.auditing.reading import Reader, Readings, losses, skill
from taskdiscovery.auditing.seen import PEAKS, Seen
from taskdiscovery.auditing.views.table import VIEWS
from taskdiscovery.auditing.views.view import (
    APART,
    CONTROL,
    MODES,
    RATIO,
    UNIQUE,
    Columns,
    View,
)
from taskdiscovery.data import partition
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.runtime.seeds import generator
from taskdiscovery.types import BoolArray, FloatArray, IdArray, IntArray, Labeling
from taskdiscovery.types.audit import FILE

FOLDS = 3


@dataclass(frozen=True, eq=False, kw_only=True)
class Finding:
    """What one view says of one class.

    Attributes:
        view: the view.
        labels_n: True for images of the class.
        gain_n: in log loss over the rest, of each image.
        groups: (n,) what belongs together, or None.
        control_z: against the matched control, or None.
        heaps: of the view's part of the reading, or None.
        ratio, skill, accuracy: as of `Cue`.
        logits_n: of the view alone.
        look: that found it.
        likeness: of the operation that made the difference, where it tells views apart.
        below: its strength at most: what a place explains is named after it.
    """

    view: View
    labels_n: BoolArray
    gain_n: FloatArray
    groups: IdArray | None
    control_z: float | None
    heaps: Modes | None
    ratio: float
    skill: float
    accuracy: float
    logits_n: FloatArray
    look: Look | None = None
    likeness: Likeness | None = None
    below: float = np.inf

    @cached_property
    def unique(self) -> tuple[float, float]:
        """U and its standard error; images of a group are one draw."""
        gain_n = self.gain_n
        mean, count = float(gain_n.mean()), len(gain_n)
        left_n = gain_n - mean
        if self.groups is not None:
            code_n = partition.codes(self.groups)
            left_n = np.bincount(code_n, weights=left_n).astype(np.float64)
        return mean, float(np.sqrt((left_n**2).sum())) / count

    @property
    def unique_z(self) -> float:
        """U in its standard error."""
        mean, error = self.unique
        return mean / max(error, 1e-12)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """The tests by which it is present."""
        if self._explained:
            return ()
        passed = {
            UNIQUE: self._adds(),
            CONTROL: self._beats_control(),
            MODES: self._has_heaps(),
            APART: self._parts(),
            RATIO: self._suffices(),
        }
        return tuple(test for test in passed if test in self.view.tests and passed[test])

    @property
    def _explained(self) -> bool:
        """Whether something else makes the difference."""
        if self.view.beyond_control and (self.control_z or 0) < rules.BEYOND_CONTROL_Z:
            return True  # what is in one corner as in the other is all over the picture
        return bool(self.view.likenesses) and MODES in self.view.tests and self.likeness is None

    def _adds(self) -> bool:
        gain, _ = self.unique
        return gain >= self._least and self.unique_z >= rules.UNIQUE_Z

    @property
    def _least(self) -> float:
        return rules.UNIQUE_LEAST.get(self.view.name, rules.UNIQUE_OTHER)

    def _beats_control(self) -> bool:
        gain, _ = self.unique
        return gain >= rules.CONTROL_GAIN and (self.control_z or 0) >= rules.CONTROL_Z

    def _has_heaps(self) -> bool:
        # A place that tells less than one like it has the heaps of what it sees of the content.
        told = self.view.control is None or (self.control_z or 0) > 0
        return told and self.heaps is not None and heaped(self.heaps)

    def _parts(self) -> bool:
        """Say whether a cue that no image contradicts may be the reason: one heap a class."""
        return (
            self.heaps is not None
            and self.heaps.distance >= rules.APART_DISTANCE
            and self.heaps.difference >= rules.APART_DIFFERENCE
            and self.skill >= rules.APART_SKILL
        )

    def _suffices(self) -> bool:
        # A part of the picture must also tell what the rest does not; files are no part of it.
        more = self.view.kind == FILE or self._adds()
        enough = self.ratio >= rules.RATIO.get(self.view.name, np.inf)
        return more and enough and self.skill >= rules.RATIO_SKILL

    def with_operation(self) -> Finding:
        """Return it with an operation that brings it about, where its view has some."""
        if self.likeness is not None or not self.view.likenesses or self.look is None:
            return self
        return replace(self, likeness=self.look.likeness(self.labels_n, [self.view]))

    @property
    def strength(self) -> float:
        """What cues are ranked by: how far beyond its threshold the strongest test is."""
        return min(self._strength, self.below)

    @property
    def _strength(self) -> float:
        if RATIO in self.view.tests:
            return self.ratio / rules.RATIO[self.view.name]
        told = [self.unique[0] / self._least]
        if self.heaps is not None and APART in self.reasons:
            told.append(self.heaps.distance / rules.APART_DISTANCE)
        if self.heaps is not None and MODES in self.reasons:
            told.append(self.heaps.gain / rules.MODES_GAIN)
        return max(told)


def heaped(heaps: Modes) -> bool:
    """Say whether a score is two heaps that the classes have other shares of."""
    return (
        heaps.gain >= rules.MODES_GAIN
        and heaps.distance >= rules.MODES_DISTANCE
        and heaps.difference >= rules.MODES_DIFFERENCE
    )


class Look:
    """Reads labelings of the same images.

    Args:
        seen: the images.
        rows: (n,) those that are labelled.
        seed: decides the folds.
    """

    def __init__(self, seen: Seen, rows: IntArray, seed: int) -> None:
        self.seen, self.rows = seen, rows
        self.groups = None if seen.dataset.groups is None else seen.dataset.groups[rows]
        rng = generator(seed, "audit folds")
        parts = partition.cut(np.arange(len(rows)), FOLDS, rng, self.groups)
        whole = len(rows) == len(seen.columns_NP)
        self.reader = Reader(seen.columns_NP if whole else seen.columns_NP[rows], parts)

    def findings(self, labels_nY: BoolArray, meter: Meter | None = None) -> list[list[Finding]]:
        """Return what every view says of every labeling: Y lists of findings.

        Args:
            labels_nY: True for images of the class.
            meter: told of views that are done.
        """
        whole = np.concatenate([self.seen.cells(), self.seen.of(PEAKS, *statistics.FAMILIES)])
        whole_Y = skill(losses(self._read(whole, labels_nY), labels_nY))
        known: dict[tuple[Columns, Columns], _Compared] = {}
        found: list[list[Finding]] = [[] for _ in range(labels_nY.shape[1])]
        for view in VIEWS:
            if view.kind == FILE and not self.seen.has_files:
                continue
            key = (view.own, view.rest)
            if key not in known:
                known[key] = self._compared(view, labels_nY)
            for y, own in enumerate(found):
                own.append(self._finding(view, known[key], labels_nY, y, float(whole_Y[y])))
            if meter is not None:
                meter.advance()
        return [_places_first(self._told_apart(own)) for own in found]

    def _read(self, columns: IntArray, labels_nY: BoolArray) -> FloatArray:
        return self.reader.read(columns, labels_nY).logits_NY

    def _compared(self, view: View, labels_nY: BoolArray) -> _Compared:
        own, rest = view.own(self.seen), view.rest(self.seen)
        control = None
        if view.control is not None:
            control = self._read(view.control(self.seen), labels_nY)
        return _Compared(
            rest_nY=self._read(rest, labels_nY),
            both=self.reader.read(np.union1d(rest, own), labels_nY, part=own),
            alone_nY=self._read(own, labels_nY),
            control_nY=control,
        )

    def _finding(
        self, view: View, found: _Compared, labels_nY: BoolArray, y: int, whole: float
    ) -> Finding:
        labels_n = labels_nY[:, y]
        before_nY, after_nY = (
            losses(logits_nY[:, y : y + 1], labels_nY[:, y : y + 1])
            for logits_nY in (found.rest_nY, found.both.logits_NY)
        )
        alone_n = found.alone_nY[:, y]
        own = float(skill(losses(alone_n[:, None], labels_n[:, None]))[0])
        right_n = (alone_n > 0) == labels_n
        return Finding(
            view=view,
            labels_n=labels_n,
            gain_n=(before_nY - after_nY)[:, 0],
            groups=self.groups,
            control_z=None
            if found.control_nY is None
            else _mcnemar(right_n, (found.control_nY[:, y] > 0) == labels_n),
            heaps=modes(found.both.parts_NY[:, y], labels_n.astype(np.int64))
            if MODES in view.tests
            else None,
            ratio=own / whole if whole > 0.01 else 0.0,
            skill=own,
            accuracy=float(np.mean([right_n[labels_n == c].mean() for c in (True, False)])),
            logits_n=alone_n,
            look=self,
        )

    def _told_apart(self, found: list[Finding]) -> list[Finding]:
        """Say which of the views that cover the whole picture it is, where they are present."""
        whole = [one for one in found if one.view.likenesses]
        camera = next(one for one in whole if MODES in one.view.tests)
        if not _stirred(camera):
            return found
        best = self.likeness(camera.labels_n, [one.view for one in whole])
        if best.cosine < rules.LIKENESS:
            return found
        return [replace(one, likeness=best) if one.view is best.view else one for one in found]

    def likeness(self, labels_n: BoolArray, views: Sequence[View]) -> Likeness:
        """Compare operations with what a class differs by, content of half the size set apart.

        Args:
            labels_n: True for images of the class.
            views: with operations.
        """
        content = next(view.rest for view in VIEWS if view.likenesses and MODES in view.tests)
        content_n = self._read(content(self.seen), labels_n[:, None])[:, 0]
        return likeness(self.seen, self.rows, labels_n, content_n, views)


@dataclass(frozen=True, eq=False)
class _Compared:
    """Logits (n, Y) of the rest, of the view alone and of its control; the reading of both."""

    rest_nY: FloatArray
    both: Readings
    alone_nY: FloatArray
    control_nY: FloatArray | None


def _places_first(found: list[Finding]) -> list[Finding]:
    """Rank what lies anywhere below the places that are present."""
    places = [one.strength for one in found if one.view.place and one.reasons]
    if not places:
        return found
    below = 0.9 * max(places)
    return [replace(one, below=below) if one.view.anywhere else one for one in found]


def _stirred(found: Finding) -> bool:
    """Say whether the statistics of the camera tell the class, whatever moved them."""
    least = rules.UNIQUE_LEAST[found.view.name]
    unique = found.unique[0] >= least and found.unique_z >= rules.UNIQUE_Z
    return unique or (found.heaps is not None and heaped(found.heaps))


def _mcnemar(right_n: BoolArray, other_n: BoolArray) -> float:
    """Return how much oftener one is right where the other is wrong, in standard errors."""
    won, lost = int((right_n & ~other_n).sum()), int((other_n & ~right_n).sum())
    return (won - lost) / max(won + lost, 1) ** 0.5


def binary(labeling: Labeling, rows: IntArray) -> Iterator[tuple[str, BoolArray]]:
    """Yield each class against the rest, of the images that have a class; one of two classes."""
    labels_n = labeling.labels_N[rows]
    classes = [c for c in range(labeling.k) if (labels_n == c).any()]
    for c in classes[1:] if len(classes) == 2 else classes:
        yield labeling.classes[c], labels_n == c


def alike(labelings: Sequence[Labeling]) -> list[list[int]]:
    """Return the places of labelings of the same images, which are read together."""
    found: dict[bytes, list[int]] = {}
    for i, labeling in enumerate(labelings):
        found.setdefault(labeling.known_N.tobytes(), []).append(i)
    return list(found.values())


def findings(
    seen: Seen, labelings: Sequence[Labeling], seed: int, meter: Meter | None = None
) -> list[list[tuple[str, list[Finding]]]]:
    """Return, of every labeling, its classes and what every view says of each.

    Args:
        seen: the images.
        labelings: of them.
        seed: decides the folds.
        meter: told of views that are done, for each part of `alike`.
    """
    result: list[list[tuple[str, list[Finding]]]] = [[] for _ in labelings]
    for places in alike(labelings):
        rows = np.flatnonzero(labelings[places[0]].known_N)
        parts = [(i, name, own) for i in places for name, own in binary(labelings[i], rows)]
        look = Look(seen, rows, seed)
        found = look.findings(np.stack([own for _, _, own in parts], axis=1), meter)
        for (i, name, _), own in zip(parts, found, strict=True):
            result[i].append((name, own))
    return result
