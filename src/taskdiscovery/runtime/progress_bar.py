"""Progress bars on a terminal or in a notebook, as a callback."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from taskdiscovery.errors import ConfigError, nearest, printable
from taskdiscovery.runtime.callbacks import Callback, Callbacks
from taskdiscovery.runtime.progress import in_notebook, interactive
from taskdiscovery.runtime.progress_lines import ProgressLines


class ProgressBar(Callback):
    """Shows the stages of a job with share done, time passed, time left, and the latest result."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def on_stage_start(self, stage: str, total: float) -> None:
        """Show a bar."""
        if self._progress is None:
            self._progress = _progress()
            self._progress.start()
        self._tasks[stage] = self._progress.add_task(printable(stage), total=total, note="")

    def on_progress(self, stage: str, amount: float, note: str) -> None:
        """Move it."""
        fields = {"note": printable(note)} if note else {}
        self._progress.update(self._tasks[stage], advance=amount, **fields)

    def on_stage_end(self, stage: str) -> None:
        """Take it away."""
        self._progress.remove_task(self._tasks.pop(stage))
        if not self._tasks:
            self._progress.stop()
            self._progress = None


def callbacks_of(given: Callback | Iterable[Callback] | None) -> Callbacks:
    """Return the callbacks of a call: those given, else what shows progress where somebody looks.

    That is a bar; lines in a notebook without ipywidgets, where a bar of rich warns at each step;
    and nothing where `TASKDISCOVERY_PROGRESS` is `off`.

    Raises:
        ConfigError: for what is no callback.
    """
    if given is None:
        if not interactive() or os.environ.get(VARIABLE) == "off":
            return Callbacks()
        widgets = not in_notebook() or find_spec("ipywidgets") is not None
        return Callbacks([ProgressBar() if widgets else ProgressLines()])
    several = list(given) if isinstance(given, Iterable) else [given]
    for one in several:
        if not isinstance(one, Callback):
            raise ConfigError(
                f"{one!r} is no callback",
                where="callbacks",
                hint="give objects of subclasses of taskdiscovery.Callback",
            )
    return Callbacks(several)


#: how the command line shows progress; `lines` and `bar` also where nobody seems to look.
VARIABLE = "TASKDISCOVERY_PROGRESS"
_SHOWN: dict[str, type[Callback]] = {"bar": ProgressBar, "lines": ProgressLines}


def callbacks_of_command() -> Callbacks:
    """Return what shows progress of a command: a bar where somebody looks, else lines on stderr.

    The environment variable `TASKDISCOVERY_PROGRESS` (`bar`, `lines` or `off`) decides otherwise.

    Raises:
        ConfigError: where it says anything else.
    """
    wanted = os.environ.get(VARIABLE) or ("bar" if interactive() else "lines")
    if wanted == "off":
        return Callbacks()
    if wanted not in _SHOWN:
        raise ConfigError(
            f"{VARIABLE} is {wanted!r}", where=VARIABLE, hint=nearest(wanted, (*_SHOWN, "off"))
        )
    return Callbacks([_SHOWN[wanted]()])


def _progress() -> Any:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
