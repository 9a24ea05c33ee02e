"""What a report shows, whether it comes from objects or from a run directory."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery import errors
from taskdiscovery.errors import DataError, RunDirError
from taskdiscovery.store import Run, environment
from taskdiscovery.store.layout import SCORES, SPLITS, free_name
from taskdiscovery.types import Dataset, Document, Evidence, Scores, Split, Tasks

if TYPE_CHECKING:
    from taskdiscovery.encoders.discovery import Discovery
    from taskdiscovery.encoders.encoder import Encoder
    from taskdiscovery.encoders.linear import FeatureEncoder


@dataclass(frozen=True, eq=False, kw_only=True)
class Material:
    """What a report shows.

    Attributes:
        dataset: the images that were searched.
        tasks: the tasks, best first; None where none were discovered.
        numbers: the headline numbers of the search.
        config: every option of the search, and `data`.
        encoder: labels transformed images for examples, or None.
        scores, evidence: where there are some.
        splits: by name.
        options: that scores and splits were made with, by kind and name.
        environment: versions and hardware.
        run: path of the run directory, or None.
    """

    dataset: Dataset
    tasks: Tasks | None
    numbers: Document
    config: Document
    encoder: Encoder | FeatureEncoder | None = None
    scores: Scores = field(default_factory=Scores)
    splits: dict[str, Split] = field(default_factory=dict)
    options: Document = field(default_factory=dict)
    evidence: Evidence | None = None
    environment: Document = field(default_factory=dict)
    run: Path | None = None

    @property
    def rows(self) -> str:
        """What the rows of the data are called: images, or rows where features stand alone."""
        return "images" if self.dataset.has_images else "rows"

    @classmethod
    def of_run(cls, run: Run, dataset: Dataset, splits: Sequence[str] = ()) -> Material:
        """Gather what a run holds.

        Args:
            run: of `discover`, or of any other job with something to show.
            dataset: its images.
            splits: names of those to show; all where empty.

        Raises:
            ConfigError: for a split that there is not.
            RunDirError: where it is not finished or damaged.
            DataError: where the images are not those of the run.
        """
        numbers = run.numbers
        check_something(run)
        check_images(dataset, run.fingerprint, "--data")
        has_tasks, encoder = "tasks" in numbers, None
        if has_tasks:
            with contextlib.suppress(RunDirError):
                # A factory of the user's own is not run by opening a report.
                encoder = run.encoder
        return cls(
            dataset=dataset,
            tasks=run.tasks if has_tasks else None,
            numbers=numbers,
            config=run.config,
            encoder=encoder,
            scores=run.scores,
            splits={name: run.split_named(name) for name in splits or run.names(SPLITS)},
            options=run.options,
            evidence=run.evidence,
            environment=environment_of(run),
            run=run.path,
        )

    @classmethod
    def of_objects(cls, dataset: Dataset, found: Sequence[Any]) -> Material:
        """Gather what verbs have returned.

        Raises:
            DataError: where there are neither tasks, scores nor splits among it, what nobody knows
                how to show, or tasks of other images.
        """
        discovery: Discovery | None = None
        others = []
        for value in found:
            if isinstance(value, Run):
                return _beside(cls.of_run(value, dataset), found)
            if hasattr(value, "encoder") and hasattr(value, "tasks"):
                discovery = value
            else:
                others.append(value)
        more = _named(others)
        if discovery is None and not (more.get("splits") or more.get("scores")):
            raise DataError(
                "there are no tasks to report, and neither scores nor splits",
                where="report",
                hint="give what discover, score or split returned, or a run",
            )
        if discovery is None:
            known: Document = {"numbers": {}, "config": {}, "environment": environment()}
            return cls(dataset=dataset, tasks=None, **known, **more)
        check_images(dataset, discovery.fingerprint, "data")
        return cls(
            dataset=dataset,
            tasks=discovery.tasks,
            numbers=discovery.numbers,
            config=dict(discovery.config),
            encoder=discovery.encoder,
            environment=environment(),
            **more,
        )


def holds_something(run: Run) -> bool:
    """Say whether a run holds tasks, scores or splits."""
    return "tasks" in run.numbers or bool(run.names(SCORES) or run.names(SPLITS))


def check_something(run: Run) -> None:
    """Refuse a run that holds nothing to show.

    Raises:
        RunDirError: where it is not finished, or its job found neither tasks, scores nor splits.
    """
    if not holds_something(run):
        raise RunDirError(
            "the run has no tasks to report, and neither scores nor splits",
            where=str(run.path),
            hint=f"see what it holds: {errors.command('show', run.path)}",
        )


def _beside(material: Material, found: Sequence[Any]) -> Material:
    """Return a run's material with objects that are to be shown in place of its own."""
    more = _named([value for value in found if not isinstance(value, Run)])
    return replace(material, **more)


def _named(values: Sequence[Any]) -> Document:
    """Return values under the names that the material knows them by; splits by their targets.

    Raises:
        DataError: for what cannot be shown.
    """
    found: Document = {}
    for value in values:
        if isinstance(value, Scores):
            found["scores"] = Scores([*found.get("scores", ()), *value])
        elif isinstance(value, Split):
            known = found.setdefault("splits", {})
            learners = {name: one.setup.learner for name, one in known.items()}
            known[free_name(value.target.name, value.setup.learner, learners)] = value
        elif isinstance(value, Evidence):
            found["evidence"] = value
        else:
            raise DataError(
                f"a report cannot show {type(value).__name__}",
                where="report",
                hint="give a Discovery or a Run, Scores, a Split, Evidence",
            )
    return found


def check_images(dataset: Dataset, fingerprint: str, where: str) -> None:
    """Refuse images that are not those of what is shown.

    Args:
        dataset: the images.
        fingerprint: of those that were searched.
        where: the option that gives them.

    Raises:
        DataError: where they are others.
    """
    if dataset.fingerprint != fingerprint:
        raise DataError(
            "these are not the images that were searched",
            where=dataset.name,
            hint=f"give them: {where}",
        )


def environment_of(run: Run) -> Document:
    """Return the versions and hardware that a run was made with, as far as it says."""
    try:
        return run.document("environment.json")
    except RunDirError:  # a report without versions is better than none
        return {}
