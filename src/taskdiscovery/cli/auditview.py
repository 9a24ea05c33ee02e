"""An audit in a terminal: the verdict first, then the cues by strength, and what was not seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taskdiscovery.cli import show
from taskdiscovery.store.writing import finite
from taskdiscovery.types import Audit, Cue, Document, Interval
from taskdiscovery.types.audit import NONE

if TYPE_CHECKING:
    import pandas as pd

#: rows of tables beside the cues; JSON has all.
_LISTED = 12
_GROUPS = (
    *("target", "class", "group", "images", "accuracy", "control", "left_out", "taken_for"),
    *("why", "looks"),
)
_TASKS = ("target", "class", "task", "about", "auc", "split_accuracy", "random_accuracy")


def show_audit(found: Audit, style: str, run: Path | None, page: Path | None) -> None:
    """Print what an audit found.

    Args:
        found: the audit.
        style: `table`, `json`, or `csv`: a row per target and view.
        run: that holds it, or None.
        page: its HTML file, or None.
    """
    if style == "json":
        places = {"run": run and str(run), "page": page and str(page)}
        show.mapping(finite({**found.numbers, **places}), "json")
    elif style == "csv":
        show.frame(found.to_frame())
    else:
        _tables(found)
        if page is not None:
            show.line(f"page: {page}")


def _tables(found: Audit) -> None:
    show.line(f"{found.verdict}: {found.sentence}")
    several = len(found.verdicts) > 1
    if several:
        for target, verdict in found.verdicts.items():
            show.line(f"  {target}: {verdict}")
    show.line("")
    present = [cue for cue in found.cues if cue.present]
    if present:
        title = f"cues that go with the labels, on {found.images:,} images"
        show.rows(_filled([_row(cue, several) for cue in present]), "table", title=title)
    elif found.verdict != NONE:
        show.line(f"none of {len(found.looked_at)} cues goes with the labels")
    if any(cue.remedy for cue in found.present):
        for cue in found.present[:3]:
            if cue.remedy:
                show.line(f"{cue.view}: {cue.remedy}")
        show.line("")
    _table(found.semantic, "groups within classes, on frozen features, at risk", _GROUPS, "at_risk")
    _table(found.tasks, "tasks of the run that are present in the labels", _TASKS, "present")
    if found.comparison is not None:
        risk = ", ".join(map(str, found.comparison.get("classes_at_risk", []))) or "none"
        show.line(f"classes at risk on the second data set: {risk}")
    for line in found.not_looked_at:
        show.line(f"not looked at: {line}")
    for line in found.notes:
        show.line(f"note: {line}")


def _row(cue: Cue, several: bool) -> Document:
    used = {True: "yes", False: "no", None: "not tried"}[cue.used]
    return {
        "cue": cue.view + (" (allowed)" if cue.allowed else ""),
        "kind": cue.kind,
        **({"target": cue.target} if several else {}),
        "class": cue.class_name,
        "U": _with_ends(cue.unique),
        "Z": cue.control_z,
        "M": cue.mode_gain,
        "R": cue.ratio,
        "F": _with_ends(cue.follows),
        "used": used,
        "aligned": None if cue.aligned is None else cue.aligned.mean,
        "conflict": None if cue.conflict is None else cue.conflict.mean,
        "conflict images": len(cue.conflict_rows),
    }


def _with_ends(value: Interval | None) -> str | None:
    return None if value is None else f"{value.mean:.3f} ({value.low:.3f} to {value.high:.3f})"


def _filled(rows: list[Document]) -> list[Document]:
    """Leave out columns that no row has a value in."""
    kept = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    return [{key: row[key] for key in kept} for row in rows]


def _table(table: pd.DataFrame | None, title: str, columns: Sequence[str], flag: str) -> None:
    """Print those rows of a table of the house's that are flagged."""
    if table is None:
        return
    rows: list[Document] = [
        {name: None if _is_missing(row.get(name)) else row.get(name) for name in columns}
        for row in table.to_dict("records")
        if row.get(flag, True)
    ]
    if not rows:
        show.line(f"{title}: none of {len(table)}")
        return
    more = f", the first {_LISTED} of {len(rows)}" if len(rows) > _LISTED else ""
    shown = [{k.replace("_", " "): v for k, v in row.items()} for row in _filled(rows[:_LISTED])]
    show.rows(shown, "table", title=title + more)


def _is_missing(value: object) -> bool:
    return value is None or value == "" or value != value
