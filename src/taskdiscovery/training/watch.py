"""What saves a training on the way: a protocol, so that the loop needs to know no journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from taskdiscovery.runtime import ranks
from taskdiscovery.types import Record


class Watch(Protocol):
    """Saves work under way between two steps, and gives back where it was saved."""

    def restored(self) -> Record | None:
        """Return the state in which this work was saved, if it was."""
        ...

    def boundary(self, state: Callable[[], Record]) -> None:
        """Between two steps: save if it is time or a signal waits, then let the signal through.

        Args:
            state: makes what is to be saved; called only then.

        Raises:
            KeyboardInterrupt: where a signal waits.
            ResourceError: where the state cannot be written.
        """
        ...

    def save(self, state: Callable[[], Record]) -> None:
        """Save now, if there is a place to save to.

        Raises:
            ResourceError: where the state cannot be written.
        """
        ...


class Unwatched:
    """A watch that saves nothing; signals are let through all the same."""

    def restored(self) -> Record | None:
        """Return nothing."""
        return None

    def boundary(self, state: Callable[[], Record]) -> None:
        """Let a signal through.

        Raises:
            KeyboardInterrupt: where one waits.
        """
        ranks.boundary()

    def save(self, state: Callable[[], Record]) -> None:
        """Do nothing."""
