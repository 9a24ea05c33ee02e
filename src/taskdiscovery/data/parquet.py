"""Parquet: the image columns of Hugging Face, plain binary columns, nested lists of pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from taskdiscovery.data.arrays import from_arrays
from taskdiscovery.data.listing import Listing, hash_file, hash_text
from taskdiscovery.data.table import label_codes
from taskdiscovery.errors import DataError, first_line
from taskdiscovery.types import Dataset, IntArray

if TYPE_CHECKING:
    import pandas as pd

LABELS = ("label", "labels", "fine_label", "class")
IDS = ("image_id", "id")
#: rows read at once: photographs may have megabytes each.
_ROWS = 128


def check(path: Path, name: str) -> None:
    """Refuse what has no readable header or no image column.

    Raises:
        DataError: saying what is wrong.
    """
    _image_column(_open(_shards(path)[0]).schema_arrow, path)


def read(path: Path, name: str) -> Listing | Dataset:
    """List the rows of a file or a folder of shards.

    Returns:
        A listing of encoded images; or the data set itself, where the pixels stand in lists.

    Raises:
        DataError: for damaged files, no image column, shards that differ, an empty table.
    """

    import pandas as pd
    import pyarrow as pa

    shards = _shards(path)
    files = [_open(shard) for shard in shards]
    schema = files[0].schema_arrow
    rows = _check_shards(shards, files, path)
    image = _image_column(schema, path)
    nested = [f.name for f in schema if pa.types.is_nested(f.type) and f.name != image]
    others = [n for n in schema.names if n != image and n not in nested]
    try:
        frame = pd.concat(
            [file.read(columns=others).to_pandas(types_mapper=None) for file in files],
            ignore_index=True,
        )
    except Exception as error:  # hostile files raise errors of every kind
        raise _damaged(path, error) from error
    label = next((n for n in LABELS if n in frame.columns), None)
    names = _class_names(schema, label)
    labels: IntArray | None = None
    classes: tuple[str, ...] = ()
    if label is not None:
        labels, classes = label_codes(frame[label], names, where=f"{path}, column {label}")
    ids = _ids(frame, rows)
    found = _attributes(frame.drop(columns=[c for c in (label,) if c is not None]))
    if _is_pixels(schema.field(image).type):
        arrays = [_pixels(file.read(columns=[image]).column(image), path) for file in files]
        return from_arrays(
            np.concatenate(arrays), labels, ids=ids, classes=classes, attributes=found, name=name
        )

    def stream() -> Iterator[bytes | None]:
        for file in files:
            for batch in file.iter_batches(batch_size=_ROWS, columns=[image]):
                column = batch.column(0)
                if pa.types.is_struct(column.type):
                    column = column.field("bytes")
                yield from column.to_pylist()

    return Listing(
        name=name,
        key=hash_text(hash_file(shard) for shard in shards),
        ids=ids,
        stream=stream,
        labels=labels,
        classes=classes,
        attributes=found,
    )


def _check_shards(shards: list[Path], files: list[Any], path: Path) -> int:
    """Count the rows of all shards.

    Raises:
        DataError: where shards have other columns than the first, or there are no rows.
    """
    for shard, file in zip(shards, files, strict=True):
        if file.schema_arrow.names != files[0].schema_arrow.names:
            raise DataError(
                "the shards have different columns", where=str(shard), hint="read them one by one"
            )
    rows = sum(int(file.metadata.num_rows) for file in files)
    if rows == 0:
        raise DataError("the table has no rows", where=str(path), hint="give data with images")
    return rows


def _attributes(frame: pd.DataFrame) -> pd.DataFrame | None:
    """Return the columns as attributes, objects as text; None where there are none."""
    texts = frame.select_dtypes(include=["object"]).map(lambda v: v if v is None else str(v))
    found = frame.select_dtypes(exclude=["object"]).join(texts)
    return found if len(found.columns) else None


def _shards(path: Path) -> list[Path]:
    if path.is_dir():
        shards = sorted(path.glob("*.parquet"))
        if not shards:
            raise DataError(
                "the folder holds no .parquet file", where=str(path), hint="check the path"
            )
        return shards
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), hint="check the path")
    return [path]


def _open(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        # Buffered ahead, all row groups of a file would be in memory at once.
        return pq.ParquetFile(path, pre_buffer=False)
    except Exception as error:  # hostile files raise errors of every kind
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(
        f"this is not a readable Parquet file: {first_line(error)}",
        where=str(path),
        hint="check that the download is complete",
    )


def _image_column(schema: Any, path: Path) -> str:
    """The column of images: a struct with `bytes`, else binary, else nested lists of uint8."""
    import pyarrow as pa

    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return str(field.name)
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return str(field.name)
    for field in schema:
        if _is_pixels(field.type):
            return str(field.name)
    raise DataError(
        "the table has no column of images",
        where=f"{path}: {', '.join(schema.names)}",
        hint="give struct{bytes, path}, binary, or nested lists of uint8 (H, W, channels)",
    )


def _is_pixels(kind: Any) -> bool:
    import pyarrow as pa

    depth = 0
    while (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    ):
        kind, depth = kind.value_type, depth + 1
    return depth in (2, 3) and bool(pa.types.is_uint8(kind))


def _pixels(column: Any, path: Path) -> np.ndarray[Any, Any]:
    """Turn a column of nested lists into (N, H, W[, channels]), which must not be ragged."""
    import pyarrow as pa

    values = column.combine_chunks()
    shape = [len(values)]
    while not pa.types.is_uint8(values.type):
        flat = values.flatten()
        if shape[-1] == 0 or len(flat) % int(np.prod(shape)):
            raise DataError(
                "the lists of pixels have different lengths",
                where=str(path),
                hint="give every image the same size",
            )
        shape.append(len(flat) // int(np.prod(shape)))
        values = flat
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """Class names as Hugging Face keeps them in the schema's metadata; empty where absent."""
    try:
        document = json.loads((schema.metadata or {})[b"huggingface"])
        feature = document["info"]["features"][label]
        names = feature.get("names") or feature.get("feature", {}).get("names")
        return tuple(str(n) for n in names)
    except Exception:  # other tools keep other metadata
        return ()


def _ids(frame: pd.DataFrame, rows: int) -> list[str]:
    for column in IDS:
        if column in frame.columns and frame[column].notna().all() and frame[column].is_unique:
            return [str(value) for value in frame[column]]
    return [str(row) for row in range(rows)]
