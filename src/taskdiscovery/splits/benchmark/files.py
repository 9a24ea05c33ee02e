"""Write a benchmark as a folder that others read: Hugging Face's tables, WILDS' metadata, sums.

    README.md                                    the card
    strength-0.50/train-00000-of-00001.parquet   and validation, of each strength
    strength-0.50/metadata.csv
    tests/test_agreeing-00000-of-00001.parquet   and test_conflicting, of all strengths
    baselines.csv                                how learners fare, where they were tried
    benchmark.json                               what was made, and checksums of the contents
    SHA256SUMS                                   of every other file; written last

The same benchmark gives the same bytes, with the same releases of Pillow (with its zlib) and
pyarrow; the contents' checksums are the same with any.

Axes: N images, n rows of a part.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from taskdiscovery.errors import DataError
from taskdiscovery.runtime.progress import Meter
from taskdiscovery.splits.benchmark.card import called, card, config_name, start_of
from taskdiscovery.splits.benchmark.columns import IMAGE, Column, columns_of, features
from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.splits.benchmark.table import Baseline, frame_of, section
from taskdiscovery.store import check_new
from taskdiscovery.store.writing import atomic, json_bytes
from taskdiscovery.types import Document, ImageArray, IntArray

CARD, NUMBERS, SUMS, METADATA = "README.md", "benchmark.json", "SHA256SUMS", "metadata.csv"
TABLE = "baselines.csv"
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
    check_new(folder)
    columns, contents, sizes = columns_of(benchmark), {}, {}
    for name, rows in _parts(benchmark).items():
        sizes[name] = _write_part(folder / name, benchmark, rows, columns, meter)
        contents[name] = content_of(benchmark, rows)
    for strength in benchmark.strengths:
        frame = benchmark.metadata(strength)
        text = frame.to_csv(index=False, lineterminator="\n")
        _put(folder / config_name(strength) / METADATA, text.encode("utf-8"))
    _put(folder / CARD, card(benchmark, columns, sizes).encode("utf-8"))
    _put(folder / NUMBERS, json_bytes(_numbers(benchmark, contents)))
    _put_sums(folder)
    return folder


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
    check(folder)
    if (folder / TABLE).exists():
        raise DataError(
            "there is a table of baselines already", where=str(folder), hint="write it anew"
        )
    text = frame_of(found).to_csv(index=False, lineterminator="\n")
    whole = (folder / CARD).read_bytes() + section(found, how).encode("utf-8")
    _put(folder / TABLE, text.encode("utf-8"))
    _put(folder / CARD, whole)
    _put_sums(folder)


def check(folder: Path | str) -> Document:
    """Compare a folder with its checksums.

    Returns:
        What `benchmark.json` says.

    Raises:
        DataError: where there are none, or a file is missing, is new or has changed.
    """
    folder = Path(folder)
    if not (folder / SUMS).is_file():
        raise DataError(
            f"there is no {SUMS}", where=str(folder), hint="it is no benchmark, or not whole"
        )
    lines = (folder / SUMS).read_text("utf-8", "replace").splitlines()
    told = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    names = _names(folder)
    wrong = sorted(set(told) ^ set(names))
    wrong += [name for name in names if name in told and _sum(folder / name) != told[name]]
    if wrong:
        raise DataError(
            f"files are not those that were written: {', '.join(wrong[:5])}",
            where=str(folder),
            hint="write the benchmark anew",
        )
    return dict(json.loads((folder / NUMBERS).read_bytes()))


def lacks_baselines(folder: Path | str) -> bool:
    """Say whether a folder looks like a benchmark to which no table of baselines was added."""
    folder = Path(folder)
    return (folder / SUMS).is_file() and not (folder / TABLE).exists()


def check_same(folder: Path | str, benchmark: Benchmark) -> None:
    """Refuse a folder that is not, file by file, this very benchmark as `write` left it.

    Raises:
        DataError: saying what is wrong.
    """
    check(folder)
    contents = {name: content_of(benchmark, rows) for name, rows in _parts(benchmark).items()}
    if (Path(folder) / NUMBERS).read_bytes() != json_bytes(_numbers(benchmark, contents)):
        raise DataError(
            "the folder has a benchmark of other data, options or seed",
            where=str(folder),
            hint="name a new folder",
        )


def content_of(benchmark: Benchmark, rows: IntArray) -> str:
    """Return the SHA-256 of pixels, ids, labels, tasks and groups of some rows, in their order."""
    images, ids = benchmark.dataset.images, benchmark.dataset.ids
    digest = hashlib.sha256(repr(images.shape[1:]).encode())
    codes = (benchmark.target.labels_N, benchmark.task.labels_N, benchmark.group_N)
    for row in rows.tolist():
        digest.update(json.dumps([str(ids[row]), *(int(own[row]) for own in codes)]).encode())
        digest.update(np.ascontiguousarray(images[row]).data)
    return digest.hexdigest()


def _parts(benchmark: Benchmark) -> dict[str, IntArray]:
    """Return the rows of each part by the path that its files begin with; shared ones once."""
    found: dict[str, IntArray] = {}
    for strength in benchmark.strengths:
        for name, rows in benchmark.rows(strength).items():
            found[start_of(strength, name)] = rows
    return found


def _numbers(benchmark: Benchmark, contents: Document) -> Document:
    """Say what was made, as in `benchmark.json`."""
    parts = _parts(benchmark)
    return {
        "data": called(benchmark.dataset.name),
        "fingerprint": benchmark.dataset.fingerprint,
        "target": benchmark.target.name,
        "classes": list(benchmark.target.classes),
        "task": benchmark.task.name,
        "task_classes": list(benchmark.task.classes),
        "agrees_with": [benchmark.task.classes[side] for side in benchmark.side_C.tolist()],
        "groups": list(benchmark.group_names),
        "strengths": list(benchmark.strengths),
        "seed": benchmark.seed,
        "copies_left_out": benchmark.copies,
        "parts": {
            name: {
                "images": len(rows),
                "agree": int(benchmark.agree_N[rows].sum()),
                "sha256": contents[name],
            }
            for name, rows in parts.items()
        },
    }


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
        content = _table(images, some, columns, meter)
        _put(start.parent / name, content)
        written += len(content)
    return written


def _table(images: ImageArray, rows: IntArray, columns: list[Column], meter: Meter | None) -> bytes:
    """Return a Parquet file with the images as PNG, as Hugging Face keeps them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    width, pictures = len(str(len(images))), []
    for row in rows.tolist():
        path = f"{row:0{width}d}.png"
        pictures.append({"bytes": _png(np.asarray(images[row])), "path": path})
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


def _png(image: ImageArray) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(stream, "PNG")
    return stream.getvalue()


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as stream:
        stream.write(content)


def _put_sums(folder: Path) -> None:
    sums = "".join(f"{_sum(folder / name)}  {name}\n" for name in _names(folder))
    _put(folder / SUMS, sums.encode("utf-8"))


def _names(folder: Path) -> list[str]:
    """Return all files but the sums, relative to the folder, in order."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in found if name != SUMS)


def _sum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return digest.hexdigest()
