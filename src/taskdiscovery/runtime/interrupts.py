"""Signals that wait for a good moment.

A training must not be torn between two updates: while it is `deferred`, SIGINT and SIGTERM are
only noted, and `check`, called between updates, raises what was noted. A second signal ends the
process at once.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, so that it unwinds as an interrupt does."""


_depth = 0
_pending: type[KeyboardInterrupt] | None = None


def requested() -> bool:
    """Say whether a signal waits."""
    return _pending is not None


def check() -> None:
    """Raise what a signal asked for, if one waits.

    Raises:
        KeyboardInterrupt: for SIGINT; `Terminated` for SIGTERM.
    """
    global _pending
    if _pending is not None:
        kind, _pending = _pending, None
        raise kind


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Let signals wait for `check`, or for the end of the block."""
    global _depth
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
    if _depth == 0:
        check()


@contextlib.contextmanager
def handled() -> Iterator[None]:
    """Handle SIGINT and SIGTERM so while the block runs."""
    global _pending
    try:
        before = {n: signal.signal(n, _handle) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread, as in some notebooks
        yield
        return
    try:
        yield
    finally:
        _pending = None
        for number, handler in before.items():
            signal.signal(number, handler)


def _handle(number: int, frame: FrameType | None) -> None:
    global _pending
    del frame
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    kind = Terminated if number == signal.SIGTERM else KeyboardInterrupt
    if _depth:
        _pending = kind
    else:
        raise kind
