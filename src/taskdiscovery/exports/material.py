"""What is exported, whether it comes from objects or from a run directory.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from taskdiscovery import errors
from taskdiscovery.errors import DataError, RunDirError
from taskdiscovery.store import Run
from taskdiscovery.store.layout import SPLITS, free_name
from taskdiscovery.types import Audit, Dataset, Scores, Split, Tasks

_GIVE = "give what discover, score, split or audit returned, tasks, or a run"


@dataclass(frozen=True, eq=False, kw_only=True)
class Material:
    """What is exported.

    Attributes:
        dataset: the images.
        tasks: labelings of them; None where there are none.
        scores: with the agreement on each image.
        splits: by name.
        audit: with the images of its cues; or None.
    """

    dataset: Dataset
    tasks: Tasks | None = None
    scores: Scores = field(default_factory=Scores)
    splits: dict[str, Split] = field(default_factory=dict)
    audit: Audit | None = None

    @classmethod
    def of_run(cls, run: Run, dataset: Dataset, splits: Sequence[str] = ()) -> Material:
        """Gather what a run holds.

        Args:
            run: of any job but `estimate`.
            dataset: its images.
            splits: names of those to export; all where empty.

        Raises:
            ConfigError: for a split that there is not.
            RunDirError: where it is damaged, or holds nothing that is of single images.
            DataError: where the images are not those of the run.
        """
        has_tasks = "tasks" in run.numbers
        found = cls(
            dataset=dataset,
            tasks=run.tasks if has_tasks else None,
            scores=run.scores,
            splits={name: run.split_named(name) for name in splits or run.names(SPLITS)},
            audit=run.audit,
        )
        if not found.holds_something:
            raise RunDirError(
                "the run holds nothing to export: neither tasks, scores, splits nor an audit",
                where=str(run.path),
                hint=f"see what it holds: {errors.command('show', run.path)}",
            )
        if run.fingerprint and run.fingerprint != dataset.fingerprint:
            raise DataError(
                "these are not the images of the run", where=dataset.name, hint="give them: --data"
            )
        return found.checked()

    @classmethod
    def of_objects(
        cls, dataset: Dataset, found: Sequence[Any], splits: Sequence[str] = ()
    ) -> Material:
        """Gather what verbs have returned.

        Raises:
            DataError: for what cannot be exported, or is of other images.
        """
        own = cls(dataset=dataset)
        for value in found:
            if isinstance(value, Run):
                run = cls.of_run(value, dataset, splits)
                own = replace(run, **{k: v for k, v in vars(own).items() if v and k != "dataset"})
            elif hasattr(value, "encoder") and hasattr(value, "tasks"):
                own = replace(own, tasks=value.tasks)
            elif isinstance(value, Tasks):
                own = replace(own, tasks=value)
            elif isinstance(value, Scores):
                own = replace(own, scores=own.scores + value)
            elif isinstance(value, Split):
                known = {name: one.setup.learner for name, one in own.splits.items()}
                name = free_name(value.target.name, value.setup.learner, known)
                own = replace(own, splits={**own.splits, name: value})
            elif isinstance(value, Audit):
                own = replace(own, audit=value)
            else:
                kind = type(value).__name__
                raise DataError(f"{kind} cannot be exported", where="export", hint=_GIVE)
        if not own.holds_something:
            raise DataError("there is nothing to export", where="export", hint=_GIVE)
        return own.checked()

    @property
    def holds_something(self) -> bool:
        """Whether there is anything that is of single images."""
        return bool(self.tasks is not None or self.scores or self.splits or self.audit)

    def checked(self) -> Material:
        """Return it, where all of it is of the same images.

        Raises:
            DataError: where it is not.
        """
        ids_N = self.dataset.ids
        others = [] if self.tasks is None else [self.tasks.ids_N]
        others += [split.ids_N for split in self.splits.values()]
        others += [] if self.audit is None else [self.audit.ids]
        same = all(np.array_equal(ids_N, own) for own in others)
        for score in self.scores:
            rows = np.asarray(score.rows_n)
            inside = len(rows) == 0 or (rows.min() >= 0 and rows.max() < len(ids_N))
            same = same and bool(inside) and np.array_equal(ids_N[rows], score.ids_n)
        if not same:
            raise DataError(
                "what was found is of other images, or they are in another order",
                where=self.dataset.name,
                hint="give the data that it was found on",
            )
        return self
