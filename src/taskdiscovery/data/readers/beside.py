"""What stands beside the images of Parquet files: ids, labels, attributes, the part of a data set.

Axes: N rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.config.specs import Spec
from taskdiscovery.data.formats.columnar import Columnar, read_columns, tell_left_out
from taskdiscovery.data.labels.columns import Columns, columns_of
from taskdiscovery.data.labels.matching import texts
from taskdiscovery.data.readers.shards import Shards, put_together
from taskdiscovery.errors import DataError
from taskdiscovery.runtime.budget import Budget
from taskdiscovery.types.classes import value_name

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("label", "labels", "fine_label", "class")
IDS = ("image_id", "id")
SPLIT = "split"
#: bytes of an id, of a label and of whatever else there is of every row.
_ROW = 200


@dataclass(frozen=True, eq=False, kw_only=True)
class Table:
    """All columns but the images.

    Attributes:
        frame: (N rows), without index columns; `split` where there are several parts.
        ids: (N) distinct texts.
        label: its column of labels, or None.
        names: class names that the files keep, or empty.
        problems: what was found worth telling.
    """

    frame: pd.DataFrame
    ids: list[str]
    label: str | None
    names: tuple[str, ...]
    problems: tuple[str, ...]

    def columns(self, where: str) -> Columns:
        """Return labels and attributes."""
        return columns_of(_plain(self.frame, self.label), self.label, self.names, where=where)


def check_shards(shards: Shards, files: Sequence[Columnar], image: str) -> None:
    """Refuse files that do not belong together, and those without rows.

    Raises:
        DataError: where files of one part have different columns, or images stand in others, or
            there are no rows.
    """
    first: dict[str, Any] = {}
    parts = shards.parts or ("",) * len(files)
    for shard, file, part in zip(shards.files, files, parts, strict=True):
        schema = file.schema
        own = first.setdefault(part, schema)
        kind = files[0].schema.field(image).type
        if schema.names != own.names or image not in schema.names:
            raise DataError(
                "the shards have different columns", where=str(shard), hint="read them one by one"
            )
        if schema.field(image).type != kind:
            raise DataError(
                f"the shards hold images as {kind} and as {schema.field(image).type}",
                where=str(shard),
                hint="read them one by one",
            )
    if not sum(file.rows for file in files):
        raise DataError(
            "the table has no rows", where=str(shards.files[0]), hint="give data with images"
        )


def table_of(
    shards: Shards, files: Sequence[Columnar], image: str, spec: Spec, budget: Budget
) -> Table:
    """Read all columns but the images, and those of lists.

    Args:
        shards: the files.
        files: the same, open.
        image: the column of images.
        spec: DATA, for what is told.
        budget: of memory; attributes that would take too much are left out.

    Raises:
        DataError: where labels or ids take too much.
        Exception: of many kinds, for damaged files.
    """
    parts = shards.parts or ("",) * len(files)
    indices = _index_columns(files[0].schema)
    frame, problems = _others(files, image, indices, budget)
    part_N = np.repeat(np.array(parts, dtype=object), [file.rows for file in files])
    ids = _ids(frame, indices)
    frame = frame.drop(columns=[c for c in indices if c in frame.columns])
    label = next((name for name in LABELS if name in frame.columns), None)
    names = next((n for file in files if (n := _class_names(file.schema, label))), ())
    if label is not None and not names:
        frame[label] = _without_marks(frame[label], part_N)
    if shards.parts:
        if SPLIT not in frame.columns:
            frame[SPLIT] = part_N
        counts = {part: int((part_N == part).sum()) for part in dict.fromkeys(parts)}
        problems = (*put_together(spec, counts), *problems)
    return Table(frame=frame, ids=ids, label=label, names=names, problems=problems)


def _others(
    files: Sequence[Columnar], image: str, indices: Sequence[str], budget: Budget
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the columns beside the images; say which were left out."""
    import pandas as pd
    import pyarrow as pa

    rows = sum(file.rows for file in files)
    budget.take(rows * _ROW, f"a table of {rows:,} rows")
    frames, left_out = [], []
    for file in files:
        others = [f.name for f in file.schema if f.name != image and not pa.types.is_nested(f.type)]
        needed = {c for c in others if c in (*LABELS, *indices) or c.lower() in IDS}
        table, own = read_columns(file, others, budget, needed)
        left_out += own
        frame = table.to_pandas(ignore_metadata=True)
        frames.append(pd.DataFrame(frame, index=pd.RangeIndex(file.rows)))
    found = pd.concat(frames, ignore_index=True)
    left_out = list(dict.fromkeys(left_out))
    return found.drop(columns=left_out, errors="ignore"), tell_left_out(left_out, budget.where)


def _plain(frame: pd.DataFrame, label: str | None) -> pd.DataFrame:
    """Return a table whose objects are texts, but for labels."""
    objects = [c for c in frame.columns if c != label and frame[c].dtype == object]
    return frame.assign(**{c: frame[c].map(value_name) for c in objects}) if objects else frame


def _without_marks(labels: pd.Series, part_N: np.ndarray[Any, Any]) -> pd.Series:
    """Take -1 for no label in a part that holds nothing else, as test sets of the hub do."""
    if labels.dtype.kind not in "iuf":
        return labels
    marked = np.zeros(len(labels), dtype=np.bool_)
    for part in set(part_N.tolist()):
        own = part_N == part
        marked |= own & bool((labels[own].dropna() == -1).all())
    return labels.mask(marked) if marked.any() else labels


def _ids(frame: pd.DataFrame, indices: list[str]) -> list[str]:
    """Return the ids that the files hold, where they are one for each row; else row numbers."""
    known = {str(column).lower(): column for column in reversed(frame.columns)}
    columns = [known[name] for name in IDS if name in known]
    columns += [c for c in indices if c in frame.columns and frame[c].dtype.kind not in "iufb"]
    for column in columns:
        found = texts(frame[column])
        if all(found) and len(set(found)) == len(found):
            return found
    return [str(row) for row in range(len(frame))]


def _index_columns(schema: Any) -> list[str]:
    """Return the columns that pandas wrote as the index of a frame."""
    try:
        document = json.loads((schema.metadata or {})[b"pandas"])
        return [name for name in document["index_columns"] if isinstance(name, str)]
    except Exception:  # other tools keep other metadata
        return []


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """Return class names as Hugging Face keeps them in the schema's metadata; empty where not."""
    try:
        document = json.loads((schema.metadata or {})[b"huggingface"])
        feature = document["info"]["features"][label]
        names = feature.get("names") or feature.get("feature", {}).get("names")
        return tuple(str(name) for name in names)
    except Exception:  # other tools keep other metadata
        return ()
