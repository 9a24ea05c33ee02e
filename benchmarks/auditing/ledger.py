"""Cells done in several processes, each kept as soon as it is there, so that a study can go on.

A ledger is a file of one JSON document a line. A cell has a key; where the ledger has a row that
says the cell is finished, it is not done again. What failed is kept with its error and tried again.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.provenance import commit


@dataclass(frozen=True)
class Cell:
    """A piece of a study.

    Attributes:
        key: its words: mode, set, cue, strength, seed, ….
        work: what does it, given the key's words, and returns rows; a function of a module, so
            that another process can call it.
        options: more that it is given, by keyword.
    """

    key: tuple[str, ...]
    work: Callable[..., list[dict[str, Any]]]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The key in one word."""
        return "|".join(self.key)


def read(place: Path) -> list[dict[str, Any]]:
    """Return the rows of a ledger; a line that was cut off by a stop is left out."""
    rows: list[dict[str, Any]] = []
    if not place.exists():
        return rows
    for line in place.read_text("utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def finished(rows: Iterable[dict[str, Any]]) -> set[str]:
    """Return the names of cells that are done."""
    return {row["cell"] for row in rows if row.get("finished")}


def chosen(cells: Iterable[Cell], only: Sequence[str]) -> list[Cell]:
    """Return the cells of which every `only` (words between commas, any of them) names a word.

    A word names itself, and what begins with it and a hyphen: `cifar10` names `cifar10-hard`.
    """

    def named(cell: Cell, words: str) -> bool:
        return any(
            own == word or own.startswith(f"{word}-")
            for word in words.split(",")
            for own in cell.key
        )

    return [cell for cell in cells if all(named(cell, words) for words in only)]


def fill(place: Path, cells: Sequence[Cell], jobs: int, limit: int | None = None) -> None:
    """Do the cells that a ledger lacks, and add each to it as soon as it is done.

    Args:
        place: the ledger.
        cells: in the order in which they are begun.
        jobs: processes, of one thread each.
        limit: do at most so many.
    """
    ended = finished(read(place))
    left = [cell for cell in cells if cell.name not in ended]
    print(f"{len(cells) - len(left)} of {len(cells)} cells are done", file=sys.stderr)
    left = left[:limit]
    if not left:
        return
    stamp = {"commit": commit()}
    spawn = multiprocessing.get_context("spawn")
    with (
        place.open("a", encoding="utf-8") as ledger,
        ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_alone) as pool,
    ):
        for i, future in enumerate(as_completed([pool.submit(done, cell) for cell in left]), 1):
            rows = future.result()
            for row in rows:
                ledger.write(json.dumps({**row, **stamp}) + "\n")
            ledger.flush()
            own = rows[-1]
            told = own.get("error") or f"{own['seconds']} s"
            print(f"{i}/{len(left)} {own['cell']}: {told}", file=sys.stderr, flush=True)


def _alone() -> None:
    from benchmarks.machine import own_process

    warnings.simplefilter("ignore")
    own_process(1)


def _worked() -> float:
    """Return the seconds of processors that this process and those that it started have had."""
    both = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(spent.ru_utime + spent.ru_stime for spent in both)


def done(cell: Cell) -> list[dict[str, Any]]:
    """Do a cell; its last row says that it is finished, or why it is not."""
    began, worked = time.perf_counter(), _worked()
    last: dict[str, Any] = {"mode": cell.key[0], "cell": cell.name}
    try:
        rows = [{**last, **row} for row in cell.work(**cell.options)]
        last |= {"finished": True}
    except Exception as error:  # a long study goes on; the ledger says what failed, and where
        traceback.print_exc()
        return [last | {"error": f"{type(error).__name__}: {error}"}]
    spent = {
        "seconds": round(time.perf_counter() - began, 2),
        "cpu": round(_worked() - worked, 2),
    }
    return [*rows, last | spent]
