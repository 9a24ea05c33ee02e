"""Progress of long work: one line that moves on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Meter(Protocol):
    """What a job tells about its progress."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Say that `amount` of the total is done, and optionally what the latest result is."""


class Silent:
    """A meter that shows nothing."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Do nothing."""


_shown = False


def show(enabled: bool) -> None:
    """Switch progress on or off for the process; it stays off where stderr is no terminal."""
    global _shown
    _shown = enabled and sys.stderr.isatty()


@contextmanager
def meter(label: str, total: float) -> Iterator[Meter]:
    """Show a bar with share done, time passed and time left while the block runs."""
    if not _shown:
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield _Bar(progress, progress.add_task(label, total=total, note=""))


class _Bar:
    def __init__(self, progress: object, task: object) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: float = 1, note: str = "") -> None:
        fields = {"note": note} if note else {}
        self._progress.update(self._task, advance=amount, **fields)  # type: ignore[attr-defined]
