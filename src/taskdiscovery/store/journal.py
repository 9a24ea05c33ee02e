"""What a job has finished, asked before each piece of work and told after it.

A job is a fixed sequence of pieces of work: a training, an iteration, a score. Each has a key and a
result, and the result depends on the job's seed and the key alone. So resuming is doing the job
again with what is known already: finished pieces are returned from the last checkpoint, and the one
that was under way goes on from its last saved step. Without a place to write it remembers nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from taskdiscovery.errors import RunDirError, first_line
from taskdiscovery.runtime import interrupts, ranks
from taskdiscovery.store.checkpoints import Checkpoints
from taskdiscovery.store.segments import Finished
from taskdiscovery.types import Document, Record


class Journal:
    """The memory of one job.

    Args:
        checkpoints: where to keep it; None to remember nothing.
        every: seconds after which work under way is saved; 0 for every step.
        header: what identifies the job; `load` compares it.
        on_checkpoint: told the number of every checkpoint that was committed.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None = None,
        *,
        every: float = 60.0,
        header: Mapping[str, Any] | None = None,
        on_checkpoint: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._checkpoints, self._every, self._header = checkpoints, every, dict(header or {})
        self._on_checkpoint = on_checkpoint
        self._finished = None if checkpoints is None else Finished(checkpoints.place)
        self._records: dict[str, Record] = {} if self._finished is None else self._finished.records
        self._kept: deque[list[Document]] = deque(
            maxlen=2 if checkpoints is None else checkpoints.keep
        )
        self._under_way: tuple[str, Record] | None = None
        self._spent, self._began = 0.0, time.monotonic()
        self._saved = self._began

    def load(self) -> None:
        """Take up the last checkpoint, if there is one.

        Raises:
            RunDirError: where all are damaged, or they belong to another job, other options or
                other data.
        """
        found = None if self._checkpoints is None else self._checkpoints.load()
        if found is None or self._finished is None:
            return
        state, arrays = found
        try:
            _compare(state["header"], self._header)
            self._finished.load(state["segments"])
            self._kept.append(state["segments"])
            if state["under_way"] is not None:
                key, values = state["under_way"]
                self._under_way = (key, Record(values=values, arrays=arrays))
            self._spent = float(state["seconds"])
        except RunDirError:
            raise
        except Exception as error:  # hostile files raise errors of every kind
            raise RunDirError(
                f"the checkpoint cannot be understood: {first_line(error)}",
                where="checkpoints",
                hint="begin again with another --out",
            ) from error

    def mirror(self) -> None:
        """Remember on every rank what the first one does, so that all do the same steps.

        Raises:
            WorkerError: where a rank is lost.
        """
        records, self._under_way = ranks.share((self._records, self._under_way))
        self._records.update(records)

    @property
    def seconds(self) -> float:
        """Time spent on the job, in all of its sittings up to the last checkpoint, and now."""
        return self._spent + time.monotonic() - self._began

    @property
    def writes(self) -> bool:
        """Whether there is a place to write to."""
        return self._checkpoints is not None

    def has(self, key: str) -> bool:
        """Say whether a piece of work is finished."""
        return key in self._records

    def get(self, key: str) -> Record | None:
        """Return the result of a finished piece of work, or None."""
        return self._records.get(key)

    def do(self, key: str, work: Callable[[JournalWatch], Record]) -> Record:
        """Return the result of a piece of work, doing it only if it is not finished."""
        known = self._records.get(key)
        if known is not None:
            return known
        result = work(JournalWatch(self, key))
        self.put(key, result)
        return result

    def put(self, key: str, result: Record, *, forget: str = "") -> None:
        """Enter a finished piece of work, and commit.

        Args:
            key: of the work.
            result: what it gave.
            forget: work whose keys begin so is no longer needed.
        """
        if self._finished is None:
            return
        self._finished.add(key, result, forget)
        self._under_way = None
        self._commit()

    def _commit(self) -> None:
        assert self._checkpoints is not None
        assert self._finished is not None
        key, record = self._under_way or ("", Record())
        with interrupts.deferred():
            segments = self._finished.commit()
            state = {
                "header": self._header,
                "seconds": self.seconds,
                "segments": segments,
                "under_way": [key, dict(record.values)] if self._under_way is not None else None,
            }
            number = self._checkpoints.save(state, record.arrays)
            self._kept.append(segments)
            self._finished.tidy(*self._kept)
        self._saved = time.monotonic()
        self._on_checkpoint(number)

    @property
    def due(self) -> bool:
        """Whether work under way is to be saved now."""
        return time.monotonic() - self._saved >= self._every

    def restored(self, key: str) -> Record | None:
        """Return the state in which a piece of work was saved under way, if it was."""
        if self._under_way is None or self._under_way[0] != key:
            return None
        return self._under_way[1]

    def save(self, key: str, state: Record) -> None:
        """Save a piece of work under way.

        Raises:
            ResourceError: where the state cannot be written.
        """
        if self._checkpoints is not None:
            self._under_way = (key, state)
            self._commit()


class JournalWatch:
    """Saves one piece of work in the journal, and gives back where it was saved."""

    def __init__(self, journal: Journal, key: str) -> None:
        self._journal, self._key = journal, key

    def restored(self) -> Record | None:
        """Return the state in which this work was saved, if it was."""
        return self._journal.restored(self._key)

    def boundary(self, state: Callable[[], Record]) -> None:
        """Between two steps: save if it is time or a signal waits, then let the signal through.

        A signal that reaches one rank stops all of them, at the same step.

        Args:
            state: makes what is to be saved; called only then.

        Raises:
            KeyboardInterrupt: where a signal waits.
            ResourceError: where the state cannot be written.
        """

        def save(stop: bool) -> None:
            if stop or self._journal.due:
                self.save(state)

        ranks.boundary(save)

    def save(self, state: Callable[[], Record]) -> None:
        """Save now, if there is a place to save to.

        Raises:
            ResourceError: where the state cannot be written.
        """
        if self._journal.writes:
            self._journal.save(self._key, state())


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on where the job is not the one that was started.

    Raises:
        RunDirError: naming what differs.
    """
    if before == now:
        return
    if before.get("command") == now.get("command") and before.get("data") != now.get("data"):
        raise RunDirError(
            "the data has changed since the job was started",
            where=f"fingerprint {str(now.get('data'))[:12]}, was {str(before.get('data'))[:12]}",
            hint="restore the data, or begin again with another --out",
        )
    if before.get("labelings") != now.get("labelings"):
        raise RunDirError(
            "these labelings are not those that the job was started with",
            where="tasks, target",
            hint="give the same objects again, or begin again with another --out",
        )
    old, new = dict(before.get("config", {})), dict(now.get("config", {}))
    changed = [
        f"{key}: {old.get(key)!r} to {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    raise RunDirError(
        f"the job was started with other options ({'; '.join(changed) or 'another command'})",
        where="config.yaml",
        hint="restore them, or begin again with another --out",
    )
