"""Results on stdout: tables for people, JSON and CSV for programs."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def rows(table: Sequence[Mapping[Any, Any]], style: str, *, title: str = "") -> None:
    """Print rows of equal keys."""
    if style == "json":
        print(json.dumps(list(table), indent=1, ensure_ascii=False))  # noqa: T201
    elif style == "csv":
        writer = csv.DictWriter(sys.stdout, fieldnames=list(map(str, table[0])) if table else [])
        writer.writeheader()
        writer.writerows(table)
    else:
        _rich_table(table, title)


def mapping(values: Mapping[str, Any], style: str, *, title: str = "") -> None:
    """Print names and values."""
    if style == "json":
        print(json.dumps(values, indent=1, ensure_ascii=False))  # noqa: T201
        return
    rows([{"": key, "value": _plain(value)} for key, value in values.items()], style, title=title)


def progress_line(text: str) -> None:
    """Print one line of progress, on stderr."""
    print(text, file=sys.stderr)  # noqa: T201


def line(text: str) -> None:
    """Print one line."""
    print(text)  # noqa: T201


def _rich_table(table: Sequence[Mapping[Any, Any]], title: str) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=title or None, box=SIMPLE, title_justify="left", title_style="bold")
    names = list(map(str, table[0])) if table else []
    for name in names:
        numeric = all(isinstance(row[name], int | float | None) for row in table)
        shown.add_column(name, justify="right" if numeric else "left")
    for row in table:
        shown.add_row(*(escape(_plain(row[name])) for name in names))
    # A pipe has no width: let lines be as long as they are.
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(shown)


def _plain(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(v)}" for key, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)
