"""What loops tell of their progress, and whether somebody looks."""

from __future__ import annotations

import sys
from typing import Protocol


class Meter(Protocol):
    """What a loop tells about its progress."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Say that `amount` of the total is done, and optionally what the latest result is."""


class Silent:
    """A meter that shows nothing."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """Do nothing."""


def interactive() -> bool:
    """Say whether somebody looks: stderr is a terminal, or this is a notebook."""
    terminal = sys.stderr is not None and sys.stderr.isatty()
    return terminal or in_notebook()


def in_notebook() -> bool:
    """Say whether this is the process of a notebook."""
    return "ipykernel" in sys.modules
