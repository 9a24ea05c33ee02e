"""The columns of a benchmark's tables, and how Hugging Face calls their types.

Axes: N images.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.types import Document, IntArray
from taskdiscovery.types.classes import value_name

if TYPE_CHECKING:
    import pandas as pd

IMAGE, LABEL = "image", "label"
#: columns of ours, and those that readers take for something else.
_TAKEN = {IMAGE, "image_id", "id", LABEL, "task", "group", "agrees", "split", "labels"}
_PLAIN = {"b": "bool", "i": "int64", "u": "int64", "f": "float64"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column beside the images.

    Attributes:
        name: in the table.
        kind: `class` for numbers of classes, else `int64`, `float64`, `bool`, `string`.
        classes: names of the classes.
        values: (N,) of the whole data set; None where a text or a number is missing.
    """

    name: str
    kind: str
    values: Any
    classes: tuple[str, ...] = ()

    @property
    def feature(self) -> Document:
        """As the metadata of a Parquet file have it."""
        if self.kind == "class":
            return {"names": list(self.classes), "_type": "ClassLabel"}
        return {"dtype": self.kind, "_type": "Value"}

    @property
    def entry(self) -> Document:
        """As the head of a data set card has it."""
        if self.kind == "class":
            names = {str(c): name for c, name in enumerate(self.classes)}
            return {"name": self.name, "dtype": {"class_label": {"names": names}}}
        return {"name": self.name, "dtype": self.kind}

    def array(self, rows: IntArray) -> Any:
        """Return the Arrow array of some rows."""
        import pyarrow as pa

        kind = {"class": pa.int64(), "bool": pa.bool_(), "string": pa.string()}
        plain = {"int64": pa.int64(), "float64": pa.float64(), **kind}
        return pa.array(self.values[rows], type=plain[self.kind], from_pandas=True)


def columns_of(benchmark: Benchmark) -> list[Column]:
    """Return all columns but the images: ids, classes, groups, and the attributes of the data."""
    target, task = benchmark.target, benchmark.task
    found = [
        Column(name="image_id", kind="string", values=benchmark.dataset.ids.astype(object)),
        Column(name=LABEL, kind="class", values=target.labels_N, classes=target.classes),
        Column(name="task", kind="class", values=task.labels_N, classes=task.classes),
        Column(name="group", kind="class", values=benchmark.group_N, classes=benchmark.group_names),
        Column(name="agrees", kind="bool", values=benchmark.agree_N),
    ]
    return found + attribute_columns(benchmark.dataset.attributes, _TAKEN)


def attribute_columns(attributes: pd.DataFrame | None, taken: Collection[str]) -> list[Column]:
    """Return a column per attribute, under names that are not taken.

    Args:
        attributes: of the data; or None.
        taken: names in small letters.
    """
    known, found = set(taken), []
    for i, name in enumerate([] if attributes is None else attributes.columns):
        called = _free(str(name), known)
        known.add(called.lower())
        assert attributes is not None
        found.append(_attribute(called, attributes.iloc[:, i]))
    return found


def features(columns: list[Column]) -> Mapping[str, Document]:
    """Return the features of a table, images among them, as Parquet's metadata have them."""
    return {IMAGE: {"_type": "Image"}, **{own.name: own.feature for own in columns}}


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken: as it is, or told to be an attribute's."""
    called = name
    while called.lower() in taken or not called.strip():
        called = f"attribute_{called}".strip()
    return called


def _attribute(name: str, values: pd.Series) -> Column:
    kind = _PLAIN.get(getattr(values.dtype, "kind", "O"), "string")
    if kind == "string" or values.dtype != values.to_numpy().dtype:  # texts, categories, nullable
        texts = np.array([value_name(value) for value in values.astype(object)], dtype=object)
        return Column(name=name, kind="string", values=texts)
    return Column(name=name, kind=kind, values=values.to_numpy())
