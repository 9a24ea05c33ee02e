"""Facts of files as a table: packed while images are decoded, kept as Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from taskdiscovery.data.images.exif import CAMERA_AT_MOST
from taskdiscovery.data.images.facts import Facts
from taskdiscovery.data.images.traces import TRACES
from taskdiscovery.types import BoolArray, FloatArray

#: how facts are packed: eight bytes a number, texts as long as they come; "S" is UTF-8.
_KINDS = [
    ("bytes", "i8"),
    ("format", "U8"),
    ("mode", "U6"),
    ("width", "i8"),
    ("height", "i8"),
    ("bits", "i8"),
    ("exif", "?"),
    ("orientation", "i8"),
    ("icc", "?"),
    ("quantization", "U8"),
    ("quality", "f8"),
    ("progressive", "?"),
    ("time", "f8"),
    ("camera", f"S{CAMERA_AT_MOST}"),
]
_TRACES = [(name, "f8") for name in TRACES]
Block: TypeAlias = NDArray[np.void]
Columns: TypeAlias = dict[str, NDArray[Any]]


def block_of(rows: Sequence[Facts], traces_nT: FloatArray) -> Block:
    """Pack the facts of some images, and the traces in their pixels."""
    block = np.empty(len(rows), dtype=_KINDS + _TRACES)
    block[[name for name, _ in _KINDS]] = np.array(rows, dtype=_KINDS)
    for name, values in zip(TRACES, traces_nT.T, strict=True):
        block[name] = values
    return block


def table_of(blocks: Sequence[Block], kept: BoolArray) -> Columns:
    """Return the columns of facts, with the ratios that follow from them.

    Args:
        blocks: of all images that were decoded, in their order.
        kept: (rows,) which of them are in the data set.
    """
    packed = np.concatenate(blocks)[kept]
    columns: Columns = {}
    for name, *_ in _KINDS + _TRACES:
        columns[name] = packed[name]
        if name == "bytes":
            columns["bytes_per_pixel"] = packed["bytes"] / (packed["width"] * packed["height"])
        if name == "height":
            columns["aspect"] = packed["width"] / packed["height"]
    return columns


def to_parquet(columns: Columns) -> bytes:
    """Return the table of facts as a Parquet file.

    Columns are made of their buffers: `pyarrow.array` imports pandas, which takes longer than the
    decoding of a small data set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "i": pa.int64(),
        "f": pa.float64(),
        "b": pa.bool_(),
        "U": pa.string(),
        "S": pa.string(),
    }
    arrays = []
    for values in columns.values():
        kind = kinds[values.dtype.kind]
        buffers = [None, *map(pa.py_buffer, _buffers(values))]
        arrays.append(pa.Array.from_buffers(kind, len(values), buffers))
    stream = pa.BufferOutputStream()
    table = pa.Table.from_arrays(arrays, list(columns))
    pq.write_table(table, stream, compression="zstd")
    return bytes(stream.getvalue())


def _buffers(values: NDArray[Any]) -> list[NDArray[Any] | bytes]:
    """Return a column as Arrow lays it out: bits, numbers, or offsets and texts."""
    if values.dtype.kind == "b":
        return [np.packbits(values, bitorder="little")]
    if values.dtype.kind not in "US":
        return [np.ascontiguousarray(values)]
    texts = values.astype("S").tolist()
    offsets = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return [offsets, b"".join(texts)]


def notes_of(columns: Columns) -> tuple[str, ...]:
    """Say how many images were turned upright."""
    turned = int((columns["orientation"] != 1).sum())
    return (f"{turned} images are turned upright, as their orientation says",) if turned else ()


def uneven(columns: Columns) -> int:
    """Count the images that are not square."""
    return int((columns["width"] != columns["height"]).sum())
