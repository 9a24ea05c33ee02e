"""The one family of errors: what happened, where, and how to mend it.

Every error that a user can cause is a `TaskDiscoveryError`. The command line prints its three
parts on at most three lines and leaves with its exit code; a caller in Python can read the parts
and the details it needs to recover.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from typing import Any


class TaskDiscoveryError(Exception):
    """Base of all errors that have a remedy.

    Args:
        what: what went wrong, in the user's words (a file, a column, a class).
        where: the place: a path, a key, a row. Empty when `what` already says it.
        hint: what to do about it.
        details: anything a caller needs to recover, kept on the exception as `details`.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "", **details: Any) -> None:
        super().__init__(what)
        self.what, self.where, self.hint, self.details = what, where, hint, details

    def __str__(self) -> str:
        lines = [
            self.what,
            self.where and f"  where: {self.where}",
            self.hint and f"  hint: {self.hint}",
        ]
        return "\n".join(_one_line(line) for line in lines if line)


class ConfigError(TaskDiscoveryError):
    """An option, a config key or a specification that cannot be used (exit code 2)."""

    exit_code = 2


class DataError(TaskDiscoveryError):
    """Images, labels or files that cannot be used (exit code 3)."""

    exit_code = 3


class RunDirError(TaskDiscoveryError):
    """A run directory that is missing, taken, changed or damaged (exit code 4)."""

    exit_code = 4


class ResourceError(TaskDiscoveryError):
    """Memory, disk or permissions ran out (exit code 5)."""

    exit_code = 5


class NumericalError(TaskDiscoveryError):
    """Training diverged or an embedding collapsed (exit code 6)."""

    exit_code = 6


class WorkerError(TaskDiscoveryError):
    """A worker or a rank was lost (exit code 7)."""

    exit_code = 7


class StrictError(TaskDiscoveryError):
    """A finding that `--strict` does not let pass: `audit` found FAIL (exit code 8)."""

    exit_code = 8


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `did you mean X?` for the known word nearest to `word`, else the known words."""
    known = sorted(known)
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean {match[0]!r}?" if match else f"choose from: {', '.join(known)}"


def printable(text: str) -> str:
    """Escape what a terminal would obey or hide, as `repr` does.

    Names of files and classes come from strangers: ESC and the C1 controls move the cursor or type
    answers, newlines forge lines, marks of direction reorder what is read.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def as_markdown(text: str) -> str:
    """Keep names from strangers from being read as Markdown."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|" else c for c in printable(text))


def _one_line(text: str, limit: int = 400) -> str:
    clean = printable(text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def command(*words: object) -> str:
    """Return a command of ours as a hint shows it: whatever a name holds, a shell takes it as one.

    Args:
        words: what follows `taskdiscovery`.
    """
    return shlex.join(["taskdiscovery", *map(str, words)])


def first_line(error: BaseException) -> str:
    """Return the first line of an error's words, for use within a message; else its kind."""
    return ((str(error).strip().splitlines() or [""])[0] or type(error).__name__)[:200]
