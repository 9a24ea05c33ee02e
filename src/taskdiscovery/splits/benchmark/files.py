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

from collections.abc import Sequence
from pathlib import Path

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
from taskdiscovery.splits.benchmark.columns import columns_of
from taskdiscovery.splits.benchmark.contents import numbers_of, parts_of
from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.splits.benchmark.shards import Rows, check_png, write_shards
from taskdiscovery.splits.benchmark.table import HEADING, Baseline, frame_of, section
from taskdiscovery.store.writing import json_bytes


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
    check_png(dataset)
    with built(folder, SUMS) as place:
        _fill(place, benchmark, meter)
    return folder


def _fill(place: Path, benchmark: Benchmark, meter: Meter | None) -> None:
    """Write all files of a benchmark into an empty folder."""
    columns, sizes = columns_of(benchmark), {}
    kept = Rows(columns=columns, images=benchmark.dataset.images, name=benchmark.file_of)
    for name, rows in parts_of(benchmark).items():
        sizes[name] = write_shards(place / name, kept, rows, meter)
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
