"""Tables of what was counted, as the pages show them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from taskdiscovery.analysis.measures import wilson

Row = dict[str, Any]


def share(count: int, of: int) -> str:
    """Return "97 of 100 (97.0 %, 91.5 to 99.0)", with Wilson's 95 % interval; "–" of none."""
    if not of:
        return "–"
    low, high = (100 * end for end in wilson(count / of, of))
    return f"{count} of {of} ({100 * count / of:.1f} %, {max(0.0, low):.1f} to {high:.1f})"


def brief(count: int, of: int) -> str:
    """Return "9/10"; "–" of none."""
    return f"{count}/{of}" if of else "–"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown."""
    lines = [list(map(str, head)), ["---"] * len(head)]
    lines += [list(map(str, row)) for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def counted(rows: Iterable[Row], holds: Callable[[Row], bool]) -> tuple[int, int]:
    """Return how many rows there are of which it holds, and how many there are."""
    every = list(rows)
    return sum(map(holds, every)), len(every)


def distinct(rows: Iterable[Row], key: str) -> list[Any]:
    """Return the values of a key, in the order of their first row."""
    return list(dict.fromkeys(row[key] for row in rows))
