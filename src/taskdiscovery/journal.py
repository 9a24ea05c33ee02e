"""What a job has finished, asked before each piece of work and told after it.

A job is a fixed sequence of *units*: a training, an iteration, a score. Each has a key and a
result, and the result depends on the job's seed and the key alone. So resuming is doing the job
again with what is known already: finished units are returned from the last checkpoint, and the one
that was under way goes on from its last saved step. Without a place to write it remembers nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from taskdiscovery import interrupts, ranks
from taskdiscovery.errors import RunDirError, first_line
from taskdiscovery.rundir import Checkpoints

_BORDER = "\x1f"  # between the key of a unit and the name of its array


@dataclass(frozen=True, eq=False, kw_only=True)
class Unit:
    """The result of a unit, or the state of one under way.

    Attributes:
        values: what JSON can hold; floats come back bit for bit.
        arrays: NumPy arrays by name.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class Journal:
    """The memory of one job.

    Args:
        checkpoints: where to keep it; None to remember nothing.
        every: seconds after which a unit under way is saved; 0 for every step.
        header: what identifies the job; `load` compares it.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None = None,
        *,
        every: float = 60.0,
        header: Mapping[str, Any] | None = None,
    ) -> None:
        self._checkpoints, self._every, self._header = checkpoints, every, dict(header or {})
        self._units: dict[str, Unit] = {}
        self._under_way: tuple[str, Unit] | None = None
        self._spent, self._began = 0.0, time.monotonic()
        self._saved = self._began

    def load(self) -> None:
        """Take up the last checkpoint, if there is one.

        Raises:
            RunDirError: where all are damaged, or they belong to another job, other options or
                other data.
        """
        found = None if self._checkpoints is None else self._checkpoints.load()
        if found is None:
            return
        state, arrays = found
        try:
            _compare(state["header"], self._header)
            split = {name: name.split(_BORDER) for name in arrays}
            by_key: dict[str, dict[str, NDArray[Any]]] = {}
            for name, (key, own) in split.items():
                by_key.setdefault(key, {})[own] = arrays[name]
            self._units = {
                key: Unit(values=values, arrays=by_key.get(key, {}))
                for key, values in state["units"].items()
            }
            if state["under_way"] is not None:
                key, values = state["under_way"]
                self._under_way = (key, Unit(values=values, arrays=by_key.get("", {})))
            self._spent = float(state["seconds"])
        except RunDirError:
            raise
        except Exception as error:  # what hostile files raise has no end
            raise RunDirError(
                f"the checkpoint cannot be understood: {first_line(error)}",
                where="checkpoints",
                mend="begin again with another --out",
            ) from error

    def mirror(self) -> None:
        """Remember on every rank what the first one does, so that all do the same steps.

        Raises:
            WorkerError: where a rank is lost.
        """
        self._units, self._under_way = ranks.share((self._units, self._under_way))

    @property
    def seconds(self) -> float:
        """Time spent on the job, in all of its sittings up to the last checkpoint, and now."""
        return self._spent + time.monotonic() - self._began

    def has(self, key: str) -> bool:
        """Say whether a unit is finished."""
        return key in self._units

    def get(self, key: str) -> Unit | None:
        """Return the result of a finished unit, or None."""
        return self._units.get(key)

    def unit(self, key: str, work: Callable[[Watch], Unit]) -> Unit:
        """Return the result of a unit, doing it only if it is not finished."""
        known = self._units.get(key)
        if known is not None:
            return known
        result = work(Watch(self, key))
        self.put(key, result)
        return result

    def put(self, key: str, result: Unit, *, forget: str = "") -> None:
        """Enter a finished unit, and commit.

        Args:
            key: of the unit.
            result: what it gave.
            forget: units whose keys begin so are no longer needed.
        """
        if self._checkpoints is None:
            return
        if forget:
            self._units = {k: u for k, u in self._units.items() if not k.startswith(forget)}
        self._units[key] = result
        self._under_way = None
        self._commit()

    def _commit(self) -> None:
        assert self._checkpoints is not None
        arrays = {
            f"{key}{_BORDER}{name}": array
            for key, unit in self._units.items()
            for name, array in unit.arrays.items()
        }
        under_way = None
        if self._under_way is not None:
            key, unit = self._under_way
            under_way = [key, dict(unit.values)]
            arrays |= {f"{_BORDER}{name}": array for name, array in unit.arrays.items()}
        state = {
            "header": self._header,
            "seconds": self.seconds,
            "units": {key: dict(unit.values) for key, unit in self._units.items()},
            "under_way": under_way,
        }
        with interrupts.deferred():
            self._checkpoints.save(state, arrays)
        self._saved = time.monotonic()


class Watch:
    """What a unit under way tells the journal, and takes up from it."""

    def __init__(self, journal: Journal | None = None, key: str = "") -> None:
        self._journal, self._key = journal, key

    def restored(self) -> Unit | None:
        """Return the state in which this unit was saved, if it was."""
        if self._journal is None or self._journal._under_way is None:
            return None
        key, state = self._journal._under_way
        return state if key == self._key else None

    def boundary(self, state: Callable[[], Unit]) -> None:
        """Between two steps: save if it is time or a signal waits, then let the signal through.

        A signal that reaches one rank stops all of them, at the same step.

        Args:
            state: makes what is to be saved; called only then.

        Raises:
            KeyboardInterrupt: where a signal waits.
            ResourceError: where the state cannot be written.
        """
        journal = self._journal
        stop = ranks.any_of(interrupts.requested())
        if journal is not None and (time.monotonic() - journal._saved >= journal._every or stop):
            self.save(state)
        if stop or ranks.size() == 1:
            interrupts.check()
        # A signal that came since the ranks asked each other waits until they ask again: a rank
        # that left now would be lost to the others.
        if stop:
            raise KeyboardInterrupt("another rank was told to stop")

    def save(self, state: Callable[[], Unit]) -> None:
        """Save now, if there is a place to save to.

        Raises:
            ResourceError: where the state cannot be written.
        """
        if self._journal is not None and self._journal._checkpoints is not None:
            self._journal._under_way = (self._key, state())
            self._journal._commit()


def _compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on where the job is not the one that was begun.

    Raises:
        RunDirError: naming what differs.
    """
    if before == now:
        return
    if before.get("command") == now.get("command") and before.get("data") != now.get("data"):
        raise RunDirError(
            "the data has changed since the job was begun",
            where=f"fingerprint {str(now.get('data'))[:12]}, was {str(before.get('data'))[:12]}",
            mend="restore the data, or begin again with another --out",
        )
    old, new = dict(before.get("config", {})), dict(now.get("config", {}))
    changed = [
        f"{key}: {old.get(key)!r} to {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    raise RunDirError(
        f"the job was begun with other options ({'; '.join(changed) or 'another command'})",
        where="config.yaml",
        mend="restore them, or begin again with another --out",
    )
