"""How time grows with images and tasks, and how much memory a million images take.

Time: `discover --method power`, one process, all its threads, synthetic 32×32 images. Memory: the
commands `discover` and `score` on a Parquet file of images, decoded, discovered and scored at one
epoch by a small network; the largest anonymous memory (mapped pages are not counted) of the
process, looked at five times a second.

    python -m benchmarks.growth --json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import taskdiscovery as td
from benchmarks.cases import synthetic
from benchmarks.machine import own_process
from benchmarks.provenance import about, add_output, deliver, told


def power(images: int, tasks: int, iterations: int) -> float:
    """Return the seconds of a search on so many training images."""
    dataset = synthetic(images * 10 // 9 + 1)
    began = time.perf_counter()
    td.discover(
        dataset,
        method=td.Power(iterations=iterations, tolerance=0.0),
        tasks=tasks,
        train_images=images,
        epochs=1,
        encoder_epochs=1,
        executor="serial",
    )
    return time.perf_counter() - began


def exponent(sizes: list[int], seconds: list[float]) -> float:
    """Return the slope of log seconds over log size, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def write(place: Path, count: int) -> None:
    """Write so many images as a Parquet file, a block at a time."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("img", kind), ("label", pa.int64())])
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(place, schema, compression="none") as file:
        for start in range(0, count, 10_000):
            n = min(10_000, count - start)
            coarse = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
            labels = (coarse[:, :4].mean(axis=(1, 2, 3)) > 127).astype(np.int64)
            cells = []
            for image in coarse.repeat(4, axis=1).repeat(4, axis=2):
                stream = BytesIO()
                Image.fromarray(image).save(stream, "BMP")
                cells.append({"bytes": stream.getvalue(), "path": None})
            file.write_table(pa.table([pa.array(cells, kind), pa.array(labels)], schema=schema))


def anonymous(arguments: list[str], cache: Path) -> tuple[float, float]:
    """Run a command; return its largest anonymous memory in GB, and its seconds."""
    began, largest = time.perf_counter(), 0
    process = subprocess.Popen(
        [sys.executable, "-m", "taskdiscovery", *arguments],
        env={**os.environ, "TASKDISCOVERY_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
    )
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                largest = max(largest, int(line.split()[1]) * 1024)
        time.sleep(0.2)
    if process.wait() != 0:
        raise RuntimeError(f"{arguments[0]} failed")
    return largest / 1e9, time.perf_counter() - began


def memory(count: int, folder: Path) -> list[dict[str, Any]]:
    """Read, discover and score."""
    write(folder / "images.parquet", count)
    data, run = f"parquet:{folder}/images.parquet", folder / "run"
    common = ["--learner", "convnet?width=0.25", "--executor", "serial", "--quiet"]
    short = ["--epochs", "1", "--train-images", str(count)]
    search = ["--tasks", "8", "--iterations", "1", "--encoder-epochs", "1"]
    commands = {
        "read": ["info", data],
        "discover": ["discover", data, *common, *short, *search, "--out", str(run)],
        "score": ["score", data, *common, *short, "--target", "label", "--test-images", str(count)],
    }

    def measured(name: str) -> dict[str, Any]:
        held, took = anonymous(commands[name], folder / "cache")
        return {"command": name, "images": count, "gb": round(held, 3), "s": round(took, 1)}

    return told(map(measured, commands))


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000, help="for memory")
    parser.add_argument("--only", default="images,tasks,memory")
    add_output(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    document: dict[str, Any] = {}
    own_process(None)
    power(2000, 8, 1)  # what is done only the first time
    for name, sizes, fixed in (
        ("images", [5000, 10_000, 20_000, 50_000], 8),
        ("tasks", [8, 16, 32, 64], 10_000),
    ):
        if name not in options.only:
            continue
        took = [power(s, fixed, 2) if name == "images" else power(fixed, s, 3) for s in sizes]
        document[name] = {
            "sizes": sizes,
            "seconds": [round(t, 2) for t in took],
            "exponent": round(exponent(sizes, took), 3),
        }
        print(json.dumps(document[name]), file=sys.stderr, flush=True)
    if "memory" in options.only:
        with tempfile.TemporaryDirectory() as folder:
            rows = memory(options.images // 10, Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            document["memory"] = rows + memory(options.images, Path(folder))
    document["environment"] = about()
    deliver(document, options)


if __name__ == "__main__":
    main()
