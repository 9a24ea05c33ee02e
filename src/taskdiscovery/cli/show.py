"""Results on stdout: tables for people, JSON and CSV for programs.

Names come from strangers: tables and lines show what a terminal would obey. JSON escapes it by its
own rules, and so gives back the very names. CSV has no such rules: it is written as it is, unless
a terminal reads it.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from taskdiscovery.cli import streams
from taskdiscovery.errors import printable

if TYPE_CHECKING:
    import pandas as pd

#: what JSON may hold as it is, and a terminal obeys: DEL, the C1 controls, marks of direction.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def rows(table: Sequence[Mapping[Any, Any]], style: str, *, title: str = "") -> None:
    """Print rows of equal keys."""
    if style == "json":
        print(_json(list(table)))  # noqa: T201
    elif style == "csv":
        writer = csv.DictWriter(sys.stdout, fieldnames=list(map(str, table[0])) if table else [])
        writer.writeheader()
        writer.writerows({key: _as_it_is(value) for key, value in row.items()} for row in table)
    else:
        _rich_table(table, title)


def mapping(values: Mapping[str, Any], style: str, *, title: str = "") -> None:
    """Print names and values."""
    if style == "json":
        print(_json(values))  # noqa: T201
        return
    rows([{"": key, "value": _plain(value)} for key, value in values.items()], style, title=title)


def text_of(row: Mapping[Any, Any]) -> str:
    """Return the values of a row after the first, each with its name, in one text."""
    return ", ".join(f"{key} {_plain(value)}" for key, value in list(row.items())[1:])


def frame(values: pd.DataFrame) -> None:
    """Print a table of text and numbers as CSV."""
    if sys.stdout.isatty():
        values = values.map(_as_it_is)
    values.to_csv(sys.stdout, index=False)


def progress_line(text: str) -> None:
    """Print one line of progress, on stderr."""
    print(printable(text), file=sys.stderr)  # noqa: T201


def line(text: str) -> None:
    """Print one line for people."""
    print(_shown(text))  # noqa: T201


def exact(text: str) -> None:
    """Print what programs read, a path or YAML: as it is, unless a terminal reads it."""
    print("\n".join(map(_as_it_is, text.split("\n"))))  # noqa: T201


def _rich_table(table: Sequence[Mapping[Any, Any]], title: str) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head = Text(_shown(title)) if title else None
    shown = Table(title=head, box=SIMPLE, title_justify="left", title_style="bold")
    names = list(map(str, table[0])) if table else []
    for name in names:
        numeric = all(isinstance(row[name], int | float | None) for row in table)
        shown.add_column(Text(_shown(name)), justify="right" if numeric else "left")
    for row in table:
        shown.add_row(*(Text(_shown(_plain(row[name]))) for name in names))
    # A pipe has no width: let lines be as long as they are.
    width = None if sys.stdout.isatty() else 200
    Console(width=width).print(shown)


def _shown(text: str) -> str:
    """Escape what a terminal would obey, and what the encoding of stdout cannot hold."""
    return streams.held(printable(text), sys.stdout)


def _as_it_is(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and sys.stdout.isatty() else value


def _json(value: Any) -> str:
    """Return JSON whose names are told apart by any reader, and obeyed by no terminal."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    if streams.held(text, sys.stdout) != text:  # its escapes would not be JSON's
        return json.dumps(value, indent=1)
    return _OBEYED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def _plain(value: Any) -> str:
    if value is None:
        return "–" if streams.held("–", sys.stdout) == "–" else "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(v)}" for key, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value))
    return str(value)
