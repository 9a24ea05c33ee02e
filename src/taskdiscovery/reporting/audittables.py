"""What an audit's page says beside cues: groups within classes, tasks, classes at risk elsewhere.

The tables come from a file of the run, so that any cell may hold anything.

Axes: N images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from taskdiscovery.reporting.auditpictures import Strips
from taskdiscovery.types import Audit, Document

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS, _MOST_STRIPS = 20, 6

_GROUPS = (
    "Found on frozen features, without any label but the class. A group is at risk where networks "
    "are right on it less often than on groups of its size drawn by chance (hard), or less often "
    "when they have seen none of it than arbitrary cuts of the class are (context)."
)
_TASKS = (
    "AUC says how well a task that was discovered without labels goes with a class. Split accuracy "
    "is that of networks trained where the two agree and asked where they part; beside it that of "
    "a random split of the same size and class counts."
)


def tables(found: Audit, strips: Strips) -> list[Document]:
    """Return the tables that the audit has.

    Args:
        found: the audit.
        strips: takes the pictures of groups.
    """
    made = [
        _groups(found, strips),
        _tasks(found),
        _compared(found),
    ]
    return [table for table in made if table is not None]


def records(table: pd.DataFrame) -> list[Document]:
    """Return the rows of a table; what is missing in a cell is None."""
    return [
        {str(k): None if _is_missing(v) else v for k, v in row.items()}
        for row in table.to_dict("records")
    ]


def _groups(found: Audit, strips: Strips) -> Document | None:
    if found.semantic is None:
        return None
    rows = sorted(records(found.semantic), key=lambda row: not row.get("at_risk"))
    columns = {
        "class": _cell("class"),
        "group": _cell("group"),
        "images": _cell("images"),
        "right": _interval("accuracy", "low", "high"),
        "by chance": _cell("control"),
        "right, unseen": _interval("left_out", "left_out_low", "left_out_high"),
        "unseen, chance": _cell("left_out_control"),
        "taken for": _cell("taken_for"),
        "why": _cell("why"),
        "looks": _cell("looks"),
    }
    shown = []
    for row in [row for row in rows if row.get("at_risk")][:_MOST_STRIPS]:
        examples = row.get("examples")
        ids = [str(one) for one in examples] if isinstance(examples, list | tuple) else []
        heading = f"{_text(row.get('class'))}, group {_text(row.get('group'))}"
        shown += strips.of_ids(heading, ids)
    count = sum(bool(row.get("at_risk")) for row in rows)
    text = f"{_GROUPS} {count} of {len(rows)} groups {'is' if count == 1 else 'are'} at risk."
    return _table("Groups within classes", text, rows, columns) | {"strips": shown}


def _tasks(found: Audit) -> Document | None:
    if found.tasks is None:
        return None
    rows = [row for row in records(found.tasks) if row.get("present", True)]
    columns = {
        "class": _cell("class"),
        "task": _cell("task"),
        "about": _cell("about"),
        "AUC": _interval("auc", "low", "high"),
        "split accuracy": _interval("split_accuracy", "split_low", "split_high"),
        "random split": _interval("random_accuracy", "random_low", "random_high"),
        "images asked": _cell("split_images"),
    }
    text = f"{_TASKS} {len(rows)} of {len(found.tasks)} are present."
    table = _table("Discovered tasks that are present in the labels", text, rows, columns)
    return table | {"bars": [bar for row in rows[:_MOST_ROWS] for bar in _bars(row)]}


def _bars(row: Document) -> list[Document]:
    """Return the accuracies of a split beside those of a random one."""
    found = []
    for name, kind, start in (("split", "bad", "split"), ("random split", "random", "random")):
        mean = _number(row.get(f"{start}_accuracy"))
        if mean is None:
            continue
        low, high = (_number(row.get(f"{start}_{end}")) for end in ("low", "high"))
        low, high = (mean if end is None else end for end in (low, high))
        found.append(bar(f"{_text(row.get('task'))}, {name}", kind, (mean, low, high)))
    return found


def _compared(found: Audit) -> Document | None:
    compared = found.comparison
    if compared is None:
        return None
    own = compared.get("rows") or compared.get("classes") or []
    rows = [dict(row) for row in own]
    columns = {
        "class": _cell("class"),
        "task": _cell("task"),
        "rate here": _cell("here"),
        "rate there": _cell("there"),
        "difference": _interval("difference", "low", "high"),
    }
    risk = ", ".join(_text(one) for one in compared.get("classes_at_risk") or []) or "none"
    text = f"Compared with {_text(compared.get('data', 'other images'))}: at risk are {risk}."
    return _table("Classes at risk on the second data set", text, rows, columns)


def _table(heading: str, text: str, rows: Sequence[Document], columns: dict[str, Any]) -> Document:
    """Return a table as texts; columns without any value are left out, rows at risk are marked."""
    several = len({_text(row.get("target")) for row in rows}) > 1
    columns = {**({"target": _cell("target")} if several else {}), **columns}
    cells = [[make(row) for make in columns.values()] for row in rows[:_MOST_ROWS]]
    kept = [j for j in range(len(columns)) if any(row[j] != "–" for row in cells)]
    made = [
        {"risk": bool(row.get("at_risk")), "cells": [own[j] for j in kept]}
        for row, own in zip(rows, cells, strict=False)
    ]
    flagged = any("at_risk" in row for row in rows)
    return {
        "heading": heading,
        "text": text,
        "columns": [name for j, name in enumerate(columns) if j in kept],
        "rows": [row for row in made if row["risk"] or not flagged],
        "others": [row for row in made if flagged and not row["risk"]],
        "more": len(rows) - len(cells),
        "strips": [],
        "bars": [],
    }


def bar(name: str, kind: str, ends: tuple[float, float, float]) -> Document:
    """Return a bar from 0 to 1.

    Args:
        name: beside it.
        kind: `good`, `bad` or `random`.
        ends: mean, low, high.
    """
    mean, low, high = (min(max(end, 0.0), 1.0) for end in ends)
    text = f"{plain(ends[0])} ({plain(ends[1])} to {plain(ends[2])})"
    place = {"low": 100 * low, "width": 100 * (high - low), "mean": 100 * mean}
    return {"name": name, "kind": kind, "text": text, **place}


def plain(value: float) -> str:
    """Write a number with as many digits as are read."""
    if not math.isfinite(value):
        return "–"
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(key: str) -> Any:
    return lambda row: _text(row.get(key))


def _interval(key: str, low: str, high: str) -> Any:
    def make(row: Document) -> str:
        ends = [_number(row.get(one)) for one in (low, high)]
        text = _text(row.get(key))
        known = [plain(end) for end in ends if end is not None]
        return f"{text} ({known[0]} to {known[1]})" if len(known) == 2 and text != "–" else text

    return make


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(value: Any) -> str:
    if value is None or value == "" or _is_missing(value):
        return "–"
    if isinstance(value, float):
        return plain(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "–"
    return str(value)
