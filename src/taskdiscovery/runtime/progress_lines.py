"""Progress as lines, where nobody looks at a bar: under nohup, in CI, in a batch system's log.

A line comes once in a while, so that a log of hours stays short, and short jobs write none.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from taskdiscovery.errors import printable
from taskdiscovery.runtime.callbacks import Callback

#: seconds between two lines.
EVERY = 30.0


@dataclass
class _Stage:
    """A stage under way.

    Attributes:
        total, done: of its work.
        began, told: when it began, and when its last line was written.
        note: the latest result.
    """

    total: float
    began: float
    told: float
    done: float = 0.0
    note: str = ""
    said: bool = False


class ProgressLines(Callback):
    """Writes how far each stage of a job has come: at most a line in half a minute, and its end.

    Args:
        write: takes a line; by default it goes to stderr.
        every: seconds between two lines.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        write: Callable[[str], None] | None = None,
        *,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._every, self._clock = write or _to_stderr, every, clock
        self._stages: dict[str, _Stage] = {}

    def on_stage_start(self, stage: str, total: float) -> None:
        """Remember when it began."""
        now = self._clock()
        self._stages[stage] = _Stage(total=total, began=now, told=now)

    def on_progress(self, stage: str, amount: float, note: str) -> None:
        """Write a line where the last one is long ago."""
        own = self._stages[stage]
        own.done += amount
        own.note = note or own.note
        now = self._clock()
        if now - own.told >= self._every:
            own.told, own.said = now, True
            self._write(_line(stage, own, now))

    def on_stage_end(self, stage: str) -> None:
        """Write the last line of a stage that took long enough for one."""
        own = self._stages.pop(stage)
        if own.said:
            now = self._clock()
            self._write(f"{stage}: ended after {duration(now - own.began)}{_after(own.note)}")


def _line(stage: str, own: _Stage, now: float) -> str:
    passed = now - own.began
    share = min(own.done / own.total, 1.0) if own.total > 0 else 1.0
    text = f"{stage}: {share:.0%} ({own.done:,.0f} of {own.total:,.0f}), {duration(passed)} passed"
    if share > 0:
        text += f", about {duration(passed * (1 - share) / share)} left"
    return text + _after(own.note)


def _after(note: str) -> str:
    return f"; {note}" if note else ""


def duration(seconds: float) -> str:
    """Return a time in words: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _to_stderr(line: str) -> None:
    print(printable(line), file=sys.stderr, flush=True)  # noqa: T201
