"""Groups within classes, on frozen features: which of them a network would get wrong, and why.

What a restricted view cannot see (a place, a pose, a companion) may still make groups within a
class. Two questions are asked of each group that is found without labels:

- How often is it told rightly by a learner that has seen its like, beside groups of the same size
  drawn by chance in the class? A group far below is *hard*: it looks like another class.
- How often is it told rightly by a learner that has seen none of it, beside arbitrary cuts of the
  class of the same size? A group far below is held by *context*: what the others have in common is
  not what makes the class, and images elsewhere that lack it will be taken for another.

Axes: N images, n images of a class, m of a group, R reduced features, D cuts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from taskdiscovery.auditing.atrisk import Asked
from taskdiscovery.auditing.groups import Class
from taskdiscovery.auditing.leaving import Leaving
from taskdiscovery.auditing.looks import looks
from taskdiscovery.config.audit import AuditConfig
from taskdiscovery.data import partition
from taskdiscovery.errors import ConfigError
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.seeds import derive, generator
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import (
    Dataset,
    Document,
    Float32,
    FloatArray,
    IntArray,
    Labeling,
    Record,
)

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("target", "class", "group", "images", "accuracy", "low", "high"),
    *("control", "control_low", "control_high"),
    *("left_out", "left_out_low", "left_out_high", "left_out_control", "left_out_control_low"),
    *("taken_for", "at_risk", "why", "looks", "examples"),
)
#: images of a class, and of a group, below which nothing is said of it.
CLASS_IMAGES, GROUP_IMAGES = 60, 20
#: images that are looked at, about; classes, the largest first; reduced features.
_IMAGES, _CLASSES, _FEATURES, _FOLDS = 12_000, 50, 256, 5
#: images of a group that are named.
_EXAMPLES = 5


def groups_within(
    dataset: Dataset,
    labelings: Sequence[Labeling],
    config: AuditConfig,
    journal: Journal,
    callbacks: Callbacks,
) -> pd.DataFrame:
    """Find groups within each class, and say which of them are at risk.

    Args:
        dataset: with features. Images to measure on alone are not looked at.
        labelings: of its images.
        config: its seed decides all that is drawn.
        journal: remembers each class.
        callbacks: told of progress.

    Returns:
        A row per group, in the order of labelings and classes: `target`, `class`, `group` (of which
        cut, and which side: `1a` and `1b`), `images`, `accuracy` out of fold with `low` and `high`;
        `control`, `control_low`, `control_high` of groups of its size drawn by chance in the class;
        `left_out` with an interval, of a learner that has seen none of the group; the same of
        arbitrary cuts of its size, `left_out_control`, and `left_out_control_low`, which one in
        twenty of them is below; `taken_for`, the class that most errors then name; `at_risk`; `why`
        (`hard`, `context`, or both; `not learnt` where the learner hardly tells the class, and no
        group is at risk); `looks`, of one at risk, what tells it from the rest of its class;
        `examples`, ids of its clearest images. A class that does not fall in two
        has no row.

    Raises:
        ConfigError: where the data has no features.
    """
    import pandas as pd
    import torch
    from threadpoolctl import threadpool_limits

    if dataset.features is None:
        raise ConfigError(
            "groups within classes are found on features, and the data has none",
            where="audit",
            hint="add --features lite0, or a file of features",
        )
    looked = [_Labelled(dataset, labeling, config.seed) for labeling in labelings]
    rows: list[Document] = []
    total = sum(len(own.looked_at) for own in looked)
    with (
        threadpool_limits(torch.get_num_threads(), user_api="blas"),
        callbacks.stage("groups within classes", total) as meter,
    ):
        for own in looked:
            for c in own.looked_at:

                def work(watch: object, own: _Labelled = own, c: int = c) -> Record:
                    return Record(values={"rows": own.groups_of(c)})

                rows += journal.do(f"semantic/{own.labeling.name}/{c}", work).values["rows"]
                meter.advance(1, own.labeling.classes[c])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def left_aside(
    dataset: Dataset, labelings: Sequence[Labeling], config: AuditConfig
) -> tuple[str, ...]:
    """Say within which classes no groups were looked for, and why; a line per reason.

    Args:
        dataset: as of `groups_within`.
        labelings: as there.
        config: as there.
    """
    lines = []
    for labeling in labelings:
        own = _Labelled(dataset, labeling, config.seed)
        counts_C = np.bincount(own.labels_N, minlength=labeling.k)
        small = [
            labeling.classes[c] for c in np.flatnonzero(counts_C) if counts_C[c] < CLASS_IMAGES
        ]
        many = int((counts_C >= CLASS_IMAGES).sum()) - len(own.looked_at)
        if small:
            named = ", ".join(small[:3]) + ", …" * (len(small) > 3)
            lines.append(
                f"groups within {len(small)} of the classes of {labeling.name} with under "
                f"{CLASS_IMAGES} images ({named})"
            )
        if many and own.looked_at:
            lines.append(
                f"groups within {many} of the classes of {labeling.name}: the {_CLASSES} largest "
                "were looked at"
            )
    return tuple(lines)


@dataclass(frozen=True, eq=False)
class _Labelled:
    """A labeling of a data set, and what is looked at of it."""

    dataset: Dataset
    labeling: Labeling
    seed: int

    @cached_property
    def rows_N(self) -> IntArray:
        """(N,) images that are looked at: all of small classes, some of large ones."""
        known_N = self.labeling.known_N
        if self.dataset.train_N is not None:
            known_N = known_N & self.dataset.train_N
        classes = np.unique(self.labeling.labels_N[known_N])
        most = max(2 * CLASS_IMAGES, _IMAGES // max(len(classes), 1))
        parts = [
            partition.sample(
                np.flatnonzero(known_N & (self.labeling.labels_N == c)),
                most,
                self.seed,
                f"semantic {c}",
            )
            for c in classes
        ]
        return np.sort(np.concatenate([np.zeros(0, dtype=np.int64), *parts]))

    @cached_property
    def labels_N(self) -> IntArray:
        """(N,) their classes."""
        return self.labeling.labels_N[self.rows_N]

    @cached_property
    def looked_at(self) -> list[int]:
        """The classes with enough images, at most fifty."""
        counts_C = np.bincount(self.labels_N, minlength=self.labeling.k)
        if (counts_C > 0).sum() < 2:
            return []
        enough = [c for c in range(self.labeling.k) if counts_C[c] >= CLASS_IMAGES]
        return sorted(sorted(enough, key=lambda c: -counts_C[c])[:_CLASSES])

    @cached_property
    def groups_N(self) -> IntArray | None:
        """(N,) number of what belongs together."""
        return partition.draws(self.dataset.groups, self.rows_N)

    @cached_property
    def table_NR(self) -> Float32:
        """(N, R) reduced features."""
        from taskdiscovery.training.preparing import Prepared

        assert self.dataset.features is not None
        return Prepared.of(self.dataset.features, self.rows_N).table_nR[:, :_FEATURES]

    @cached_property
    def learner(self) -> Leaving:
        """The learner that is asked."""
        from taskdiscovery.training.preparing import STRENGTHS

        rng, groups = generator(self.seed, "semantic", "folds"), self.dataset.groups
        count = _FOLDS
        if self.groups_N is not None:
            count = min(count, int(self.groups_N.max()) + 1)
            if count < 2:
                groups = None
        folds_N = np.zeros(len(self.rows_N), dtype=np.int64)
        for number, part in enumerate(partition.cut(self.rows_N, max(count, 2), rng, groups)):
            folds_N[np.searchsorted(self.rows_N, part)] = number
        return Leaving.chosen(self.table_NR, self.labels_N, folds_N, self.groups_N, STRENGTHS)

    def groups_of(self, c: int) -> list[Document]:
        """Return the rows of the groups of a class."""
        own_n = np.flatnonzero(self.labels_N == c)
        groups = self.dataset.groups
        found = Class.of(
            self.table_NR[own_n],
            None if groups is None else groups[self.rows_N[own_n]],
            derive(self.seed, "semantic", self.labeling.name, c),
        )
        asked = Asked(learner=self.learner, own_n=own_n, found=found, names=self.labeling.classes)
        rows: list[Document] = []
        for d, cut_n in enumerate(found.cuts().T):
            sides = sorted((-cut_n, cut_n), key=lambda far_n: -int((far_n > 0).sum()))
            for letter, far_n in zip("ab", sides, strict=True):
                if (far_n > 0).sum() < GROUP_IMAGES:
                    continue
                figures, own = asked.figures(far_n), self.rows_N[own_n]
                risk = figures["at_risk"]
                rows.append(
                    {
                        "target": self.labeling.name,
                        "class": self.labeling.classes[c],
                        "group": f"{d + 1}{letter}",
                        **figures,
                        "looks": looks(self.dataset, own, far_n > 0, self.seed) if risk else "",
                        "examples": self._clearest(own_n, far_n),
                    }
                )
        return rows

    def _clearest(self, own_n: IntArray, far_n: FloatArray) -> list[str]:
        """Return the ids of images of a group that lie the farthest out."""
        member = np.flatnonzero(far_n > 0)
        chosen = member[np.argsort(-far_n[member], kind="stable")[:_EXAMPLES]]
        return [str(name) for name in self.dataset.ids[self.rows_N[own_n[chosen]]]]
