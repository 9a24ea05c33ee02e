"""What a whole audit takes: seconds and the peak of memory of a process of its own, by size."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.auditing.cells import Rows
from benchmarks.auditing.groups import CIFAR
from benchmarks.auditing.ledger import Cell

#: images at 64 and at 32 pixels.
SIZES = {"tiny-imagenet": (1500, 3000, 6000), "cifar10": (12_500, 25_000, 50_000)}
_ANIMALS = "label:" + ",".join(map(str, range(59)))
_VEHICLES = "label:" + ",".join(map(str, CIFAR["vehicles against animals"][0]))
TARGETS = {"tiny-imagenet": (_ANIMALS,), "cifar10": (_VEHICLES, "label")}
_PROGRAM = (
    "import sys, taskdiscovery as td\n"
    "data, target, networks, threads = sys.argv[1:]\n"
    "found = td.audit(data, target=target, networks=networks, threads=int(threads), callbacks=())\n"
    "print(found.verdict, found.sentence, sep=': ')"
)


def growth_cells(where: Path, threads: int) -> list[Cell]:
    """Return the cells of `growth`; they want the machine for themselves (`--jobs 1`)."""
    return [
        Cell(
            ("growth", data, str(count), "classes" if target == "label" else "two", asked),
            growth,
            {
                "where": where,
                "data": data,
                "count": count,
                "target": target,
                "asked": asked,
                "threads": threads,
            },
        )
        for data, sizes in SIZES.items()
        for target in TARGETS[data]
        for asked in ("auto", "always")
        for count in sizes
    ]


def growth(where: Path, data: str, count: int, target: str, asked: str, threads: int) -> Rows:
    """Audit the first so many images of a data set, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"{data}.parquet"
        pq.write_table(pq.read_table(where / data / "train.parquet").slice(0, count), place)
        program = [sys.executable, "-W", "ignore", "-c", _PROGRAM]
        program += [f"parquet:{place}", target, asked, str(threads)]
        began = time.perf_counter()
        log = Path(folder) / "log"
        with log.open("w") as stream:
            process = subprocess.Popen(program, stdout=stream, stderr=subprocess.STDOUT)
            _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        told = log.read_text("utf-8").strip().splitlines()
        if process.returncode:
            raise RuntimeError(told[-1] if told else f"ended with {process.returncode}")
        return [
            {
                "set": data,
                "images": count,
                "target": "label" if target == "label" else "two groups",
                "networks": asked,
                "threads": threads,
                "wall": round(time.perf_counter() - began, 1),
                "peak_gb": round(spent.ru_maxrss * 1024 / 1e9, 3),
                "said": told[-1],
            }
        ]
