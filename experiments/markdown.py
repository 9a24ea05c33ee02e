"""How tables and scores are written on the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from experiments.records import Row


def paragraphs(parts: Iterable[str]) -> str:
    """Join paragraphs, a blank line between them."""
    return "\n\n".join(part.strip() for part in parts if part.strip())


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows)])


def span(kind: Row) -> str:
    """Write a mean with the least and the greatest."""
    return f"{kind['mean']:.3f} ({kind['min']:.3f} to {kind['max']:.3f})"


def with_interval(row: Row) -> str:
    """Write a score with its interval."""
    return f"{row['agreement']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
