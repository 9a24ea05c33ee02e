"""What a benchmark holds, in numbers and checksums that no encoder of images or tables changes.

Axes: N images, n rows of a part.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from taskdiscovery.splits.benchmark.card import called, start_of
from taskdiscovery.splits.benchmark.checking import digest_of
from taskdiscovery.splits.benchmark.rows import Benchmark
from taskdiscovery.types import Document, IntArray


def content_of(benchmark: Benchmark, rows: IntArray) -> str:
    """Return the SHA-256 of pixels, ids, labels, tasks and groups of some rows, in their order."""
    dataset = benchmark.dataset
    codes = (benchmark.target.labels_N, benchmark.task.labels_N, benchmark.group_N)
    return digest_of(
        (dataset.images[row] for row in rows.tolist()),
        dataset.images.shape[1:],
        dataset.ids[rows],
        [own[rows] for own in codes],
    )


def parts_of(benchmark: Benchmark) -> dict[str, IntArray]:
    """Return the rows of each part by the path that its files begin with; shared ones once."""
    found: dict[str, IntArray] = {}
    for strength in benchmark.strengths:
        for name, rows in benchmark.rows(strength).items():
            found[start_of(strength, name)] = rows
    return found


def numbers_of(benchmark: Benchmark) -> Document:
    """Say what was made, as in `benchmark.json`; `checksum` is one of all parts."""
    parts = parts_of(benchmark)
    contents = {name: content_of(benchmark, rows) for name, rows in parts.items()}
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
        "near_copies_together": benchmark.together,
        "tests_with_near_copies": benchmark.near,
        "checksum": _checksum(contents),
        "parts": {
            name: {
                "images": len(rows),
                "agree": int(benchmark.agree_N[rows].sum()),
                "sha256": contents[name],
            }
            for name, rows in parts.items()
        },
    }


def checksum_of(benchmark: Benchmark) -> str:
    """Return one checksum of all contents, as `benchmark.json` has it."""
    parts = parts_of(benchmark)
    return _checksum({name: content_of(benchmark, rows) for name, rows in parts.items()})


def _checksum(contents: Mapping[str, str]) -> str:
    text = "".join(f"{contents[name]}  {name}\n" for name in sorted(contents))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
