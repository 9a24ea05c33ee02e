"""Signals that wait for a good moment.

A training must not be torn between two updates: while it is `deferred`, signals that ask a job to
stop are only noted, and `check`, called between updates, raises what was noted. A second SIGINT or
SIGTERM ends the process at once.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

#: what each says, by its number; Windows has the first two only.
_MEANINGS = {
    getattr(signal, name): meaning
    for name, meaning in (
        ("SIGINT", "Ctrl-C"),
        ("SIGTERM", "it was asked to end"),
        ("SIGHUP", "the terminal went away"),
        ("SIGUSR1", "sent by a batch system or a user"),
        ("SIGUSR2", "sent by a batch system or a user"),
    )
    if hasattr(signal, name)
}
#: numbers of the signals that stop a job.
SIGNALS = tuple(_MEANINGS)
#: of these a second one ends the process: somebody wants it gone.
_URGENT = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A signal asked the job to stop. It unwinds as an interrupt does.

    Args:
        number: of the signal.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


_depth = 0
_waiting = 0


def exit_code(error: KeyboardInterrupt) -> int:
    """Return 128 and the number of the signal that stopped a job."""
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)


def reason(error: KeyboardInterrupt) -> str:
    """Return what stopped a job, e.g. `stopped by SIGHUP (the terminal went away)`."""
    if not isinstance(error, Stopped):  # Python's own: of a notebook, of a script
        return "interrupted"
    return f"stopped by {signal.Signals(error.number).name} ({_MEANINGS[error.number]})"


def request(number: int) -> None:
    """Ask the job to stop at the next `check`, as if that signal had come."""
    global _waiting
    _waiting = number


def requested() -> int:
    """Return the number of the signal that waits; 0 for none."""
    return _waiting


def check() -> None:
    """Raise what a signal asked for, if one waits.

    Raises:
        Stopped: naming the signal.
    """
    global _waiting
    if _waiting:
        number, _waiting = _waiting, 0
        raise Stopped(number)


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
def handled(*, passed_on: bool = False) -> Iterator[None]:
    """Handle the signals so while the block runs; one that is ignored (`nohup`) stays ignored.

    Args:
        passed_on: whether a launcher passes on what it gets. Then a second signal means nothing,
            since both get what is sent to a group, and the launcher ends what does not end.
    """
    global _waiting
    before: dict[int, Any] = {}

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        for other in before:
            # A lost connection sends SIGHUP twice (the shell, and the terminal), a batch system
            # its notice again and again: they are no reason to end before the job is saved.
            final = other in _URGENT and not passed_on
            signal.signal(other, signal.SIG_DFL if final else signal.SIG_IGN)
        if _depth:
            request(number)
        else:
            raise Stopped(number)

    try:
        for number in SIGNALS:
            # None: whoever runs Python within a program of theirs handles it.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread, as in some notebooks
        yield
        return
    try:
        yield
    finally:
        _waiting = 0
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def kept_from_children(*, interruptible: bool = False) -> Iterator[None]:
    """Start processes, while the block runs, that only their driver stops.

    A terminal or a batch system sends its signals to whole groups of processes. Workers that ended
    before the driver has saved would take along what they have finished. A mask of signals is
    inherited, by all that they start in turn; here, what comes meanwhile waits for the end of the
    block.

    Args:
        interruptible: whether SIGINT comes through all the same: where they start slowly, and
            ignore it by themselves.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows has no groups that are signalled
        yield
        return
    through = {signal.SIGTERM, signal.SIGINT} if interruptible else {signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, set(SIGNALS) - through)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_to_driver() -> None:
    """Ignore, in a worker, the signals upon which its driver saves and ends it."""
    for number in set(SIGNALS) - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
