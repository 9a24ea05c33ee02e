"""Parts of a study side by side: so many processes as threads were given, each with one thread.

Small networks gain little from a second thread, and a part that is alone in its process can be
timed by the processor seconds of that process.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import TypeVar

from benchmarks.machine import own_process

from experiments.laboratory import Laboratory
from experiments.records import Row
from taskdiscovery.runtime import hardware

T = TypeVar("T")
#: of a process of `parts`.
_LAB: list[Laboratory] = []


def parts(work: Callable[[Laboratory, T], Row], lab: Laboratory, given: Sequence[T]) -> list[Row]:
    """Return what a function makes of each of the given.

    Args:
        work: a function of a module, for it goes to other processes.
        lab: with one thread, or on a GPU, all is done here, one after the other.
        given: one a part.
    """
    count, own = min(len(given), processes(lab)), replace(lab, threads=1)
    if count == 1:
        return [work(own, part) for part in given]
    with ProcessPoolExecutor(count, get_context("spawn"), _begin, (own,)) as pool:
        return list(pool.map(_do, [work] * len(given), given))


def processes(lab: Laboratory) -> int:
    """Say how many parts are done at once."""
    return 1 if lab.device != "cpu" else lab.threads or hardware.cpu_cores()


def _begin(lab: Laboratory) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.simplefilter("ignore")
    own_process(lab.threads)
    _LAB.append(lab)


def _do(work: Callable[[Laboratory, T], Row], part: T) -> Row:
    return work(_LAB[0], part)


def processor_seconds() -> float:
    """Return the processor seconds of this process, and of those that it has waited for."""
    known = os.times()
    return known.user + known.system + known.children_user + known.children_system
