"""The audit: what labels go with, whether networks follow it, and what that amounts to.

Axes: N images.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from taskdiscovery.auditing import rules, verdict
from taskdiscovery.auditing.filefacts import told_by
from taskdiscovery.auditing.presence import Finding, alike, findings
from taskdiscovery.auditing.seen import PASSES, Seen, look
from taskdiscovery.auditing.sides import sides
from taskdiscovery.auditing.usage import Cause, Usage, ask
from taskdiscovery.auditing.views.table import VIEWS
from taskdiscovery.config import AuditConfig, to_mapping
from taskdiscovery.errors import ConfigError, DataError, nearest
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import Audit, Cue, Dataset, IntArray, Interval, Labeling
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FILE, NONE

#: the least side that filters and cosine transforms fit in.
LEAST_SIDE = 16
KINDS = (FILE, ARTEFACT, CONTEXT)
_PLACES = frozenset(view.name for view in VIEWS if view.place or view.anywhere)


def audit(
    dataset: Dataset,
    targets: Sequence[Labeling],
    config: AuditConfig,
    journal: Journal,
    callbacks: Callbacks,
) -> Audit:
    """Audit labelings of images.

    Args:
        dataset: the images.
        targets: the labelings.
        config: resolved.
        journal: remembers what networks have answered.
        callbacks: told of progress.

    Returns:
        All but what needs features, a run or a second data set.

    Raises:
        ConfigError: for a view that there is not in `--allow`, or features alone.
        DataError: for images that are too small.
        NumericalError: where training diverges.
    """
    began = time.monotonic()
    check_allowed(config.allow)
    check_images(dataset)
    with callbacks.stage("looking", PASSES * len(dataset)) as meter:
        seen = look(dataset, config.seed, meter)
    controlled = config.layout == "controlled"
    controlled |= config.layout == "auto" and seen.layout >= rules.CONTROLLED
    enough = [labeling for labeling in targets if is_enough(labeling)]
    kept = [_of_enough(labeling) for labeling in enough]
    looked_at = _looked_at(seen)
    with callbacks.stage("reading labels", len(looked_at) * len(alike(kept))) as meter:
        read = findings(seen, kept, config.seed, meter)
    cues: list[Cue] = []
    for labeling, found in zip(kept, read, strict=True):
        own = _Target(dataset, labeling, found, config)
        cues += own.cues(_asked(own, config, journal, callbacks))
    cues.sort(key=lambda cue: (not cue.present, verdict.RANKS[cue.kind], -cue.strength))
    judged = [(cue, verdict.of_cue(cue, cue.view in _PLACES, controlled)) for cue in cues]
    verdicts = {
        labeling.name: verdict.worst([v for cue, v in judged if cue.target == labeling.name])
        if labeling in enough
        else NONE
        for labeling in targets
    }
    overall = verdict.worst(list(verdicts.values()))
    guilty = [cue for cue, amounts in judged if amounts == overall and cue.present]
    return Audit(
        verdict=overall,
        sentence=_named(targets, guilty)
        + verdict.sentence(overall, guilty, len(looked_at), len(dataset)),
        cues=tuple(cues),
        verdicts=verdicts,
        classes={labeling.name: _counts(labeling) for labeling in targets},
        looked_at=looked_at,
        not_looked_at=_not_looked_at(dataset, seen, cues, config),
        notes=_notes(dataset, enough, seen, controlled),
        images=len(dataset),
        data=dataset.name,
        ids=dataset.ids,
        networks=_networks(cues, config),
        seconds=time.monotonic() - began,
        config=to_mapping(config),
    )


def check_allowed(names: Sequence[str]) -> None:
    """Refuse names that no view has.

    Raises:
        ConfigError: naming the nearest.
    """
    known = [*(view.name for view in VIEWS), *KINDS]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no view {name!r}", where="--allow", hint=nearest(name, known)
            )


def check_images(dataset: Dataset) -> None:
    """Refuse images that filters do not fit in.

    Raises:
        ConfigError, DataError: saying why.
    """
    dataset.require_images("audit")
    if min(dataset.image_shape[:2]) < LEAST_SIDE:
        raise DataError(
            f"images of {dataset.image_shape[1]} x {dataset.image_shape[0]} are too small to audit",
            where=dataset.name,
            hint=f"read them with --size {2 * LEAST_SIDE}",
        )


def is_enough(labeling: Labeling) -> bool:
    """Say whether there are images enough for a verdict: two classes of 60, and 300 of them all."""
    counts = np.array(list(_counts(labeling).values()))
    large = counts[counts >= rules.LEAST_OF_CLASS]
    return len(large) >= 2 and int(large.sum()) >= rules.LEAST_IMAGES


def _of_enough(labeling: Labeling) -> Labeling:
    """Leave out classes that are too small to say anything of."""
    counts = np.bincount(labeling.labels_N[labeling.known_N], minlength=labeling.k)
    small = np.flatnonzero(counts < rules.LEAST_OF_CLASS)
    labels_N = np.where(np.isin(labeling.labels_N, small), -1, labeling.labels_N)
    return replace(labeling, labels_N=labels_N, coordinates_NC=None)


def _counts(labeling: Labeling) -> dict[str, int]:
    counts = np.bincount(labeling.labels_N[labeling.known_N], minlength=labeling.k)
    return {name: int(n) for name, n in zip(labeling.classes, counts, strict=True)}


class _Target:
    """One labeling, without its smallest classes, and what every view says of the others."""

    def __init__(
        self,
        dataset: Dataset,
        labeling: Labeling,
        found: list[tuple[str, list[Finding]]],
        config: AuditConfig,
    ) -> None:
        self.dataset, self.labeling, self.config = dataset, labeling, config
        self.rows = np.flatnonzero(labeling.known_N)
        by_view: dict[str, list[tuple[str, Finding]]] = {}
        for name, own in found:
            for finding in own:
                by_view.setdefault(finding.view.name, []).append((name, finding))
        #: of each view, how many classes it tells at once.
        self.joint = {view: _joint([one for _, one in own]) for view, own in by_view.items()}
        #: of each view, the class that it tells best, and all that it is present for.
        self.best = {
            view: (
                max(own, key=lambda one: (bool(one[1].reasons), one[1].strength)),
                tuple(name for name, finding in own if finding.reasons),
            )
            for view, own in by_view.items()
        }
        #: of each view that is present, on which images it tells the class.
        self.sides = {
            view: sides(finding) for view, ((_, finding), _) in self.best.items() if finding.reasons
        }

    @property
    def causes(self) -> list[Cause]:
        """What networks are asked about: what is present, but files, which they do not see."""
        return [
            Cause(finding=finding, class_name=name, sides=self.sides[view])
            for view, ((name, finding), _) in self.best.items()
            if view in self.sides and finding.view.kind != FILE
        ]

    def cues(self, used: dict[str, Usage]) -> list[Cue]:
        """Return the cues of all views."""
        return [
            self._cue(name, finding, classes, used.get(finding.view.name))
            for (name, finding), classes in self.best.values()
        ]

    def _cue(
        self, name: str, finding: Finding, classes: tuple[str, ...], usage: Usage | None
    ) -> Cue:
        view, (gain, error) = finding.view, finding.unique
        heaps, both = finding.heaps, self.sides.get(view.name)
        rows: dict[str, IntArray] = {}
        if both is not None:
            rows["aligned_rows"] = self.rows[both.aligned]
            rows["conflict_rows"] = self.rows[both.conflict]
        return Cue(
            view=view.name,
            kind=view.kind,
            words=view.words if both is None else self._words(finding),
            target=self.labeling.name,
            class_name=name,
            classes=classes,
            present=both is not None,
            reasons=finding.reasons,
            unique=Interval(
                mean=gain, low=gain - 1.96 * error, high=gain + 1.96 * error, covers="images"
            ),
            unique_z=finding.unique_z,
            control_z=finding.control_z,
            mode_gain=None if heaps is None else heaps.gain,
            mode_distance=None if heaps is None else heaps.distance,
            mode_difference=None if heaps is None else heaps.difference,
            strength=finding.strength,
            ratio=finding.ratio,
            skill=finding.skill,
            accuracy=finding.accuracy,
            joint=self.joint[view.name],
            follows=None if usage is None else usage.follows,
            aligned=None if usage is None else usage.aligned,
            conflict=None if usage is None else usage.conflict,
            used=None if usage is None else usage.used,
            box=view.boxes,
            allowed=view.name in self.config.allow or view.kind in self.config.allow,
            remedy=view.remedy,
            **rows,
        )

    def _words(self, finding: Finding) -> str:
        """Name the very fact where files tell the class."""
        if finding.view.kind != FILE or self.dataset.facts is None:
            return finding.view.words
        facts = self.dataset.facts.iloc[self.rows]
        groups = self.dataset.groups
        own = None if groups is None else groups[self.rows]
        told = told_by(facts, finding.labels_n.astype(np.int64), self.config.seed, own)
        return f"facts of the files, the {told[0][0]} first" if told else finding.view.words


def _joint(found: Sequence[Finding]) -> float | None:
    """Return how often the class of the largest logit is right, mean over classes; None for two."""
    if len(found) < 3:
        return None
    logits_nC = np.stack([one.logits_n for one in found], axis=1)
    labels_nC = np.stack([one.labels_n for one in found], axis=1)
    said_n = logits_nC.argmax(axis=1)
    return float(np.mean([(said_n[own] == c).mean() for c, own in enumerate(labels_nC.T)]))


def _asked(
    target: _Target, config: AuditConfig, journal: Journal, callbacks: Callbacks
) -> dict[str, Usage]:
    """Ask networks about the cues that are present, by name of the view."""
    causes = target.causes
    artefacts = any(cause.finding.view.kind == ARTEFACT for cause in causes)
    if config.networks == "never" or (config.networks == "auto" and not artefacts) or not causes:
        return {}
    causes = [replace(cause, finding=cause.finding.with_operation()) for cause in causes]
    found = ask(target.dataset, target.labeling, causes, config, journal, callbacks)
    return {c.finding.view.name: usage for c, usage in zip(causes, found, strict=True)}


def _named(targets: Sequence[Labeling], guilty: Sequence[Cue]) -> str:
    """Say which of several targets a sentence is of."""
    return f"{guilty[0].target}: " if len(targets) > 1 and guilty else ""


def _looked_at(seen: Seen) -> tuple[str, ...]:
    return tuple(view.name for view in VIEWS if view.kind != FILE or seen.has_files)


def _not_looked_at(
    dataset: Dataset, seen: Seen, cues: Sequence[Cue], config: AuditConfig
) -> tuple[str, ...]:
    """Say what was not looked at, and why."""
    lines = ["what pictures mean: objects, people, places (see groups within classes, and compare)"]
    if dataset.facts is None:
        lines.append("facts of files: the images did not come from files")
    elif not seen.has_files:
        lines.append("facts of files: they are the same for all images")
    if dataset.image_shape[2] == 1:
        lines.append("colour: the pictures are grey")
    if dataset.features is None:
        lines.append("groups within classes: give --features lite0, or a table of features")
    if not config.tasks:
        lines.append("tasks of a run: give --from RUN")
    if not config.other:
        lines.append("a second data set: give --other DATA2 and --from RUN")
    if config.networks == "never":
        lines.append("what networks follow: --networks never")
    elif config.networks == "auto" and not any(
        cue.present and cue.kind == ARTEFACT for cue in cues
    ):
        lines.append("what networks follow: no artefact is present (--networks always asks them)")
    elif config.networks == "always" and not any(cue.present for cue in cues):
        lines.append("what networks follow: nothing is present")
    return tuple(lines)


def _notes(
    dataset: Dataset, targets: Sequence[Labeling], seen: Seen, controlled: bool
) -> tuple[str, ...]:
    """Say what the figures are limited by."""
    lines = []
    if controlled:
        lines.append(
            f"all pictures are laid out alike (position explains {seen.layout:.0%} of the variance "
            "of brightness): places in the picture are warnings at most"
        )
    for labeling in targets:
        count = int(labeling.known_N.sum())
        if count < rules.FEW_IMAGES:
            lines.append(
                f"{labeling.name}: {count:,} labelled images have little power: a cue in most of "
                "them is found, a weaker one may not be"
            )
        small = [n for n, own in _counts(labeling).items() if 0 < own < rules.LEAST_OF_CLASS]
        if small:
            named = ", ".join(small[:5]) + (", …" if len(small) > 5 else "")
            lines.append(
                f"{labeling.name}: classes of fewer than {rules.LEAST_OF_CLASS} images are left "
                f"out: {named}"
            )
    if dataset.groups is not None:
        lines.append("groups are kept together, and are one draw each in the interval of U")
    return tuple(lines)


def _networks(cues: Sequence[Cue], config: AuditConfig) -> str:
    """Say which networks were asked; empty where none were."""
    if all(cue.used is None for cue in cues):
        return ""
    return f"{config.runs} of {config.learner}, each asked about images that it was not trained on"
