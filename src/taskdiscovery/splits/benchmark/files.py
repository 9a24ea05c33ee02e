"""Write a benchmark as a folder that others read: Hugging Face's tables, WILDS' metadata, sums.

    README.md                                    the card
    strength-0.50/train-00000-of-00001.parquet   and validation, of each strength
    strength-0.50/metadata.csv
    tests/test_agreeing-00000-of-00001.parquet   and test_conflicting, of all strengths
    baselines.csv                                how learners fare, where they were tried
    benchmark.json                               what was made, and checksums of the contents
    SHA256SUMS                                   of every other file; written last

The same benchmark gives the same bytes, with the same releases of Pillow (with its zlib) and
pyarrow; the contents' checksums are the same with any. It is built beside its folder under a hidden
name, and renamed when it is whole.

Axes: N images, n rows of a part.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.splits.benchmark.building import built, put
from taskdiscovery.splits.benchmark.card import card, config_name
from taskdiscovery.splits.benchmark.checking import (
    CARD,
    METADATA,
    NUMBERS,
    SUMS,
    TABLE,
    check_untouched,
    sums,
)
from taskdiscovery.splits.benchmark.columns import IMAGE, Column, columns_of, features
from taskdiscovery.splits.benchmark.contents import numbers_of, parts_of
from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.splits.benchmark.table import HEADING, Baseline, frame_of, section
from taskdiscovery.store.writing import json_bytes
from taskdiscovery.types import ImageArray, IntArray

#: bytes of pixels in a file, at most, and rows in one of its groups.
_SHARD, _ROWS = 2**28, 1000


def write(folder: Path | str, benchmark: Benchmark, meter: Meter | None = None) -> Path:
    """Write a benchmark.

    Args:
        folder: a new one.
        benchmark: as `compose` gives it.
        meter: told of images written.

    Returns:
        The folder.

    Raises:
        DataError: for images that PNG does not hold.
        RunDirError: where the folder is not empty.
        ResourceError: where it cannot be written.
    """
    folder, dataset = Path(folder), benchmark.dataset
    if dataset.images.shape[3] not in (1, 3):
        raise DataError(
            f"images of {dataset.images.shape[3]} channels cannot be written as PNG",
            where=dataset.name,
            hint="take one channel or three of them",
        )
    with built(folder, SUMS) as place:
        _fill(place, benchmark, meter)
    return folder


def _fill(place: Path, benchmark: Benchmark, meter: Meter | None) -> None:
    """Write all files of a benchmark into an empty folder."""
    columns, sizes = columns_of(benchmark), {}
    for name, rows in parts_of(benchmark).items():
        sizes[name] = _write_part(place / name, benchmark, rows, columns, meter)
    for strength in benchmark.strengths:
        frame = benchmark.metadata(strength)
        text = frame.to_csv(index=False, lineterminator="\n")
        put(place / config_name(strength) / METADATA, text.encode("utf-8"))
    put(place / CARD, card(benchmark, columns, sizes).encode("utf-8"))
    put(place / NUMBERS, json_bytes(numbers_of(benchmark)))
    put(place / SUMS, sums(place))


def add_baselines(folder: Path | str, found: Sequence[Baseline], how: str) -> None:
    """Add a table of baselines to a benchmark that was written: `baselines.csv`, and in the card.

    Args:
        folder: of the benchmark.
        found: a row each.
        how: what is said of their training.

    Raises:
        DataError: where the folder is not as it was written, or has such a table.
        ResourceError: where it cannot be written.
    """
    folder = Path(folder)
    check_untouched(folder)
    text = frame_of(found).to_csv(index=False, lineterminator="\n")
    # A card that has a table already is that of a process that died before it was done here.
    plain = (folder / CARD).read_bytes().partition(HEADING.encode("utf-8"))[0]
    put(folder / TABLE, text.encode("utf-8"))
    put(folder / CARD, plain + section(found, how).encode("utf-8"))
    put(folder / SUMS, sums(folder))


def check_same(folder: Path | str, benchmark: Benchmark) -> None:
    """Refuse a folder that is not, file by file, this very benchmark as `write` left it.

    Raises:
        DataError: saying what is wrong.
    """
    check_untouched(folder)
    if (Path(folder) / NUMBERS).read_bytes() != json_bytes(numbers_of(benchmark)):
        raise DataError(
            "the folder has a benchmark of other data, options or seed",
            where=str(folder),
            hint="name a new folder",
        )


def _write_part(
    start: Path, benchmark: Benchmark, rows: IntArray, columns: list[Column], meter: Meter | None
) -> int:
    """Write the files of a part: one, or more where there are many pixels; return their bytes."""
    written = 0
    images = benchmark.dataset.images
    size = max(1, _SHARD // max(1, int(np.prod(images.shape[1:]))))
    shards = [rows[at : at + size] for at in range(0, len(rows), size)]
    for i, some in enumerate(shards):
        name = f"{start.name}-{i:05d}-of-{len(shards):05d}.parquet"
        content = _table(benchmark, some, columns, meter)
        put(start.parent / name, content)
        written += len(content)
    return written


def _table(
    benchmark: Benchmark, rows: IntArray, columns: list[Column], meter: Meter | None
) -> bytes:
    """Return a Parquet file with the images as PNG, as Hugging Face keeps them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images, pictures = benchmark.dataset.images, []
    for row in rows.tolist():
        pictures.append({"bytes": png_of(np.asarray(images[row])), "path": benchmark.file_of(row)})
        if meter is not None:
            meter.advance()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    arrays: list[Any] = [pa.array(pictures, type=kind), *(own.array(rows) for own in columns)]
    about = {"huggingface": json.dumps({"info": {"features": features(columns)}})}
    table = pa.table(arrays, names=[IMAGE, *(own.name for own in columns)])
    stream = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(about), stream, compression="zstd", row_group_size=_ROWS
    )
    return stream.getvalue()


def png_of(image: ImageArray) -> bytes:
    """Return an image (H, W, channels), of one channel or three, as a PNG."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
    return stream.getvalue()
