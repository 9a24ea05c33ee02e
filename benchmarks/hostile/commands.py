"""What is tried on a mutated run or input: each command, and what the library does with one."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.hostile.bases import LEARNER, STOPPED

_TRAIN = ["--learner", LEARNER, "--threads", "1", "--executor", "serial", "--quiet"]
_SMOKE = [*_TRAIN, "--preset", "smoke", "--runs", "2"]
_FEW = ["--images", "50", "--probe-images", "20", "--threads", "1", "--quiet"]
_META = ["--method", "meta", "--outer-steps", "1", "--inner-steps", "2", "--tasks", "2"]
_META += ["--encoder-epochs", "1", *_TRAIN]
DATA = ["--data", "digits"]

#: every command by the arguments that follow it; RUN stands for the run, OUT for a new one.
COMMANDS: dict[str, list[str]] = {
    "verify": ["verify", "RUN"],
    "show": ["show", "RUN"],
    "discard": ["discard", "RUN"],
    "discard --all": ["discard", "RUN", "--all"],
    "open": ["open", "RUN"],
    "report": ["report", "RUN", "--quiet"],
    "report --data": ["report", "RUN", "--quiet", *DATA],
    "export": ["export", "RUN", "--to", "csv", "--out", "OUT", "--quiet"],
    "export --data": ["export", "RUN", "--to", "hf", "--out", "OUT", "--quiet", *DATA],
    "analyze": ["analyze", "RUN", *_FEW],
    "analyze --data": ["analyze", "RUN", *_FEW, *DATA],
    "label": ["label", "RUN", "digits", "--quiet"],
    "resume": ["resume", "RUN", "--quiet"],
    "resume --data": ["resume", "RUN", "--quiet", *DATA],
    "score --from": ["score", "digits", "--from", "RUN", *_SMOKE],
    "split --from": ["split", "digits", "--target", "label", "--from", "RUN", *_SMOKE],
    "discover --warm-start": ["discover", "digits", "--warm-start", "RUN", "--out", "OUT", *_META],
}
#: how often each is drawn: the cheap ones often, the others so that all take about as long.
_OFTEN = {
    "verify": 30,
    "open": 26,
    "label": 14,
    "report": 8,
    "show": 10,
    "discard": 3,
    "discard --all": 2,
    "report --data": 4,
    "resume": 6,
}
_OFTEN |= {"resume --data": 3, "analyze": 2, "analyze --data": 1, "score --from": 2}
_OFTEN |= {"export": 6, "export --data": 4}
_OFTEN |= {"split --from": 1, "discover --warm-start": 1}


def draw(rng: random.Random, base: str) -> str:
    """Draw a command; a run that was stopped is resumed more often."""
    names = [*COMMANDS]
    more = {"resume": 16, "resume --data": 10} if base in STOPPED else {}
    return rng.choices(names, [{**_OFTEN, **more}[name] for name in names])[0]


def arguments(command: str, run: Path) -> list[str]:
    """Return the command line of a command on a run."""
    places = {"RUN": str(run), "OUT": str(run.parent / "scratch" / "made")}
    return [places.get(word, word) for word in COMMANDS[command]]


def perform(words: list[str]) -> int:
    """Do what a command line does, or a call of the library; return the exit code."""
    if words[0] in LIBRARY:
        logging.disable(logging.CRITICAL)
        return LIBRARY[words[0]](Path(words[1]))
    from taskdiscovery.cli import main

    return main(words)


def code_of(work: Callable[[], object]) -> int:
    """Return the exit code that the command line would give to the end of some work.

    Raises:
        AssertionError: where the message of an error of the package is longer than three lines.
        Exception: any other than the package's own.
    """
    from taskdiscovery.errors import TaskDiscoveryError

    try:
        work()
    except TaskDiscoveryError as error:
        if len(str(error).splitlines()) > 3:
            raise AssertionError(f"the message is too long: {error}") from error
        return error.exit_code
    return 0


_ASKED = ["config", "state", "job", "numbers", "tasks", "encoder", "discovery", "scores"]
_ASKED += ["split", "splits", "evidence", "comparisons", "options"]


def open_run(run: Path) -> int:
    """Ask a run for everything that it holds."""
    import taskdiscovery as td

    def ask(name: str) -> str:
        return repr(getattr(td.open_run(run), name))

    return max(code_of(partial(ask, name)) for name in _ASKED)


def load(place: Path) -> int:
    """Read an input; its kind is its name."""
    import taskdiscovery as td

    kind = place.suffix[1:] or "folder"
    size = None if kind == "npz" else 8
    return code_of(lambda: td.load(f"{kind}:{place}", size=size, callbacks=()))


def read_labelings(place: Path) -> int:
    """Read labelings of six images."""
    from taskdiscovery import data

    images = data.from_arrays(np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2))
    return code_of(lambda: data.read_labelings(place, images))


#: calls of the library that stand beside the commands, each of one path.
LIBRARY: dict[str, Callable[[Path], int]] = {
    "open": open_run,
    "load": load,
    "labelings": read_labelings,
}
