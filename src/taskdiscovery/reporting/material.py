"""What a report shows, whether it comes from objects or from a run directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskdiscovery.errors import DataError, RunDirError
from taskdiscovery.store import Run, environment
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
        tasks: the tasks, best first.
        numbers: the headline numbers of the search.
        config: every option of the search, and `data`.
        encoder: labels transformed images for examples, or None.
        scores, split, evidence: where there are some.
        environment: versions and hardware.
        run: path of the run directory, or None.
    """

    dataset: Dataset
    tasks: Tasks
    numbers: Document
    config: Document
    encoder: Encoder | FeatureEncoder | None = None
    scores: Scores = field(default_factory=Scores)
    split: Split | None = None
    evidence: Evidence | None = None
    environment: Document = field(default_factory=dict)
    run: Path | None = None

    @classmethod
    def of_run(cls, run: Run, dataset: Dataset) -> Material:
        """Gather what a run holds.

        Raises:
            RunDirError: where it is not finished or damaged.
            DataError: where the images are not those of the run.
        """
        numbers = run.numbers
        if "tasks" not in numbers:
            raise RunDirError(
                "the run has no tasks to report",
                where=str(run.path),
                hint="give a finished run of discover",
            )
        _check_images(dataset, run.fingerprint, "--data")
        try:
            # A factory of the user's own is not run by opening a report.
            encoder: Encoder | FeatureEncoder | None = run.encoder
        except RunDirError:
            encoder = None
        return cls(
            dataset=dataset,
            tasks=run.tasks,
            numbers=numbers,
            config=run.config,
            encoder=encoder,
            scores=run.scores,
            split=run.split,
            evidence=run.evidence,
            environment=_environment_of(run),
            run=run.path,
        )

    @classmethod
    def of_objects(cls, dataset: Dataset, found: Sequence[Any]) -> Material:
        """Gather what verbs have returned.

        Raises:
            DataError: where there are no tasks among it, what nobody knows how to show, or tasks of
                other images.
        """
        discovery: Discovery | None = None
        more: Document = {}
        for value in found:
            if isinstance(value, Run):
                return _beside(cls.of_run(value, dataset), found)
            if hasattr(value, "encoder") and hasattr(value, "tasks"):
                discovery = value
            else:
                more |= _named(value)
        if discovery is None:
            raise DataError(
                "there are no tasks to report",
                where="report",
                hint="give what discover returned, or a run",
            )
        _check_images(dataset, discovery.fingerprint, "data")
        return cls(
            dataset=dataset,
            tasks=discovery.tasks,
            numbers=discovery.numbers,
            config=dict(discovery.config),
            encoder=discovery.encoder,
            environment=environment(),
            **more,
        )


def _beside(material: Material, found: Sequence[Any]) -> Material:
    """Return a run's material with objects that are to be shown in place of its own."""
    from dataclasses import replace

    more: Document = {}
    for value in found:
        if not isinstance(value, Run):
            more |= _named(value)
    return replace(material, **more)


def _named(value: Any) -> Document:
    """Return a value under the name that the material knows it by.

    Raises:
        DataError: for what cannot be shown.
    """
    if isinstance(value, Scores):
        return {"scores": value}
    if isinstance(value, Split):
        return {"split": value}
    if isinstance(value, Evidence):
        return {"evidence": value}
    raise DataError(
        f"a report cannot show {type(value).__name__}",
        where="report",
        hint="give a Discovery or a Run, Scores, a Split, Evidence",
    )


def _check_images(dataset: Dataset, fingerprint: str, where: str) -> None:
    if dataset.fingerprint != fingerprint:
        raise DataError(
            "these are not the images that were searched",
            where=dataset.name,
            hint=f"give them: {where}",
        )


def _environment_of(run: Run) -> Document:
    try:
        return run.document("environment.json")
    except RunDirError:  # a report without versions is better than none
        return {}
