"""The standard streams, whatever state they are in when a command starts.

Daemons and cron start programs with some of them closed; a locale may know ASCII alone; a disk is
full, a reader leaves. stdout is what a command is for: one that cannot be written is an error, told
when the job is done and committed. stderr is said by the way: its loss changes nothing.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from taskdiscovery.errors import ResourceError


@contextlib.contextmanager
def usable() -> Iterator[Stream]:
    """Have three open streams while the block runs, none of which fails; give stdout."""
    _open_closed()
    _let_wait()
    output, notes = Stream(sys.stdout), Stream(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(notes):
        try:
            yield output
        finally:  # what fails to be written when Python ends would change the exit code
            output.flush()
            notes.flush()


def held(text: str, stream: Any) -> str:
    """Return the text as a stream can hold it: what its encoding has no signs for is escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _open_closed() -> None:
    """Open what is closed: else the next file that is opened would become the standard output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        mode = "w" if number else "r"
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY if number else os.O_RDONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)  # by the processes that are started from here
        if getattr(sys, name) is None:  # as Python leaves it, where it found the stream closed
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _let_wait() -> None:
    """Wait for a slow reader, as Python's streams do not where a parent has set them otherwise."""
    for number in (1, 2):
        with contextlib.suppress(OSError, AttributeError):  # Windows knows it since Python 3.12
            os.set_blocking(number, True)


class Stream:
    """A text stream that escapes what its encoding cannot hold, and never ends what writes to it.

    A network of the user's may print, in the middle of a job, to a pipe that nobody reads any more.

    Args:
        stream: any text stream, also one that a notebook or a test has put in place.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or what stands for it in this encoding."""
        if self._error is None:
            with self._remembered():
                self._stream.write(held(text, self._stream))
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        if self._error is None:
            with self._remembered():
                self._stream.flush()

    def check(self) -> None:
        """Refuse to end well where text was lost, unless its reader has left, as `| head` does.

        Raises:
            ResourceError: naming the stream.
        """
        self.flush()
        if self._error is not None and not isinstance(self._error, BrokenPipeError):
            raise ResourceError(
                f"the output cannot be written: {self._error.strerror or self._error}",
                where="stdout",
                hint="send it elsewhere; what was to be written into a run directory is there",
            ) from self._error

    @contextlib.contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._error = error
            # What is left in its buffer is tried again when Python ends, and would then fail.
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)
