"""One row per image with all that is known of it: the table that every form carries.

Axes: N images, C classes of a target.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.exports.material import Material
from taskdiscovery.splits.benchmark.columns import Column, attribute_columns
from taskdiscovery.splits.cuts import groups_of
from taskdiscovery.store.layout import cue_names
from taskdiscovery.types import ROLES, TEST, BoolArray, Cue, IntArray, Labeling, Tasks

if TYPE_CHECKING:
    import pandas as pd

#: what a table calls images, so that attributes of these names are called otherwise.
_TAKEN = {"image", "id", "image_id", "file_name", "label", "partition", "belongs_to", "filepath"}


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """What is known of every image.

    Attributes:
        columns: in order; those of classes are numbers, -1 where an image has none.
        about: what each column is, by its name.
    """

    columns: tuple[Column, ...]
    about: dict[str, str]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per image, classes by their names, None where there is none."""
        import pandas as pd

        found: dict[str, Any] = {}
        for column in self.columns:
            values = column.values
            if column.kind == "class":
                names = np.array([*column.classes, None], dtype=object)
                values = names[column.values]
            found[column.name] = pd.Series(values, dtype=_DTYPES.get(column.kind))
        return pd.DataFrame(found)

    def described(self) -> pd.DataFrame:
        """Return one row per column: `column`, `kind`, `classes`, `about`."""
        import pandas as pd

        rows = [
            {
                "column": column.name,
                "kind": column.kind,
                "classes": "; ".join(column.classes),
                "about": self.about[column.name],
            }
            for column in self.columns
        ]
        return pd.DataFrame(rows)


_DTYPES = {"bool": "boolean", "class": "str", "string": "str"}


def table_of(material: Material, files: tuple[str, ...] | None = None) -> Table:
    """Gather what is known of every image.

    Args:
        material: what is exported.
        files: (N,) path of each image's file within the export; None where there are none.
    """
    columns: list[Column] = []
    about: dict[str, str] = {}
    for column, words in _all(material, files):
        name, number = column.name, 1
        while name.lower() in {known.lower() for known in about}:
            number += 1
            name = f"{column.name}_{number}"
        columns.append(replace(column, name=name))
        about[name] = words
    return Table(columns=tuple(columns), about=about)


def _all(material: Material, files: tuple[str, ...] | None) -> Iterator[tuple[Column, str]]:
    dataset, tasks = material.dataset, material.tasks
    yield _text("image_id", dataset.ids.astype(object)), "the image, as the data calls it"
    if files is not None:
        yield _text("file_name", files), "its file in this export"
    if dataset.labels is not None:
        yield _classes("label", dataset.labels, dataset.classes), "class that people gave it"
    yield _text("partition", _partition(material)), "train where discovery may have seen it"
    if dataset.groups is not None:
        belongs = [name or None for name in dataset.groups.tolist()]
        yield _text("belongs_to", belongs), "what it belongs together with (patient, video)"
    for column in attribute_columns(dataset.attributes, _TAKEN):
        yield column, "attribute of the data"
    if tasks is not None:
        yield from _tasks(tasks)
    yield from _agreements(material)
    yield from _splits(material)
    if tasks is not None and dataset.labels is not None:
        label = Labeling(
            name="label", classes=dataset.classes, labels_N=dataset.labels, ids_N=dataset.ids
        )
        for task in tasks:
            if task.k == 2:
                yield from _groups(f"label_{task.name}", label, task, groups_of(task, label))
    yield from _cues(material)


def _partition(material: Material) -> list[str | None]:
    seen_N = None if material.tasks is None else material.tasks.seen_N
    seen_N = material.dataset.train_N if seen_N is None else seen_N
    if seen_N is None:
        return [None] * len(material.dataset)
    return np.where(seen_N, "train", "test").tolist()


def _tasks(tasks: Tasks) -> Iterator[tuple[Column, str]]:
    for task in tasks:
        name = plain(task.name)
        yield _classes(name, task.labels_N, task.classes), f"class of the task {task.name}"
        if task.coordinates_NC is None:
            continue
        for j, values in enumerate(task.coordinates_NC.T):
            called = f"{name}_coordinate" + (f"_{j}" if task.k > 2 else "")
            words = f"coordinate that {task.name} was cut from"
            yield _number(called, values), words


def _agreements(material: Material) -> Iterator[tuple[Column, str]]:
    """Yield the agreement on each image, which is known where it was measured."""
    known: set[str] = set()
    for score in material.scores:
        name = f"agreement_{plain(score.task)}"
        if name in known:  # the same labeling by another learner, or another job
            name = f"{name}_{plain(score.name or score.learner)}"
        known.add(name)
        values = np.full(len(material.dataset), np.nan)
        values[score.rows_n] = score.agreement_n
        yield (
            _number(name, values),
            f"share of pairs of {score.runs} runs of {score.learner} that agree on it, trained on "
            f"{score.task}; empty where it was not measured",
        )


def _splits(material: Material) -> Iterator[tuple[Column, str]]:
    names = {number: name for name, number in ROLES.items()}
    for called, split in material.splits.items():
        name = f"split_{plain(called)}"
        roles = [names.get(role) for role in split.role_N.tolist()]
        words = f"its side of the split {called}: train, within (held out of it), test"
        yield _text(name, roles), words
        conflict_N = np.where(split.role_N < 0, None, split.role_N == TEST)
        yield (
            Column(name=f"{name}_conflict", kind="bool", values=conflict_N),
            f"whether {split.task.name} tells another {split.target.name} than on the train side",
        )
        yield from _group(f"{name}_group", split.target, split.task)


def _groups(
    name: str, target: Labeling, task: Labeling, side_C: IntArray
) -> Iterator[tuple[Column, str]]:
    both_N: BoolArray = target.known_N & task.known_N
    differs_N = side_C[target.labels_N] != task.labels_N
    conflict_N = np.where(both_N, differs_N, None)
    yield (
        Column(name=f"conflict_{plain(name)}", kind="bool", values=conflict_N),
        f"whether {task.name} differs from the side that most of its {target.name} leans to",
    )
    yield from _group(f"group_{plain(name)}", target, task)


def _group(name: str, target: Labeling, task: Labeling) -> Iterator[tuple[Column, str]]:
    """Yield classes of a target by classes of a task, as group DRO takes them."""
    both_N = target.known_N & task.known_N
    group_N = np.where(both_N, target.labels_N * task.k + task.labels_N, -1)
    names = tuple(f"{y}, {task.name} {t}" for y in target.classes for t in task.classes)
    yield _classes(name, group_N, names), f"class of {target.name} by class of {task.name}"


def _cues(material: Material) -> Iterator[tuple[Column, str]]:
    present: list[Cue] = (
        [] if material.audit is None else [c for c in material.audit.cues if c.present]
    )
    names = cue_names((cue.target, cue.view) for cue in present)
    for name, cue in zip(names, present, strict=True):
        side_N = np.full(len(material.dataset), None, dtype=object)
        side_N[cue.aligned_rows] = "aligned"
        side_N[cue.conflict_rows] = "conflict"
        words = f"whether {cue.view} tells its class of {cue.target} (aligned) or another"
        yield _text(f"cue_{plain(name)}", side_N), words


def plain(name: str) -> str:
    """Return a name that every tool takes for a column."""
    return re.sub(r"[^0-9A-Za-z_]+", "_", name).strip("_") or "labels"


def _text(name: str, values: Any) -> Column:
    return Column(name=name, kind="string", values=np.array(values, dtype=object))


def _classes(name: str, labels_N: IntArray, classes: tuple[str, ...]) -> Column:
    return Column(name=name, kind="class", values=np.asarray(labels_N), classes=classes)


def _number(name: str, values: Any) -> Column:
    return Column(name=name, kind="float64", values=np.asarray(values, dtype=np.float64))
