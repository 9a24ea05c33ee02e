"""One page of an estimate: what is recommended and what it covers, then all that stands beside it.

It is drawn from numbers alone: no image is read, and none is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from taskdiscovery.errors import command
from taskdiscovery.jobs.contents import words_again
from taskdiscovery.reporting import estimatewords, figures
from taskdiscovery.reporting.auditcommands import data_again
from taskdiscovery.reporting.page import data_name
from taskdiscovery.reporting.rendering import render
from taskdiscovery.reporting.scoreview import tile
from taskdiscovery.store import environment
from taskdiscovery.types import Document, Estimate

#: classes and tasks that a figure has room for; those that fare worst are shown.
_SHOWN = 24
#: rows that a table has open; more are unfolded.
_OPEN = 12


def estimate_page(found: Estimate, run: Path | None = None, known: Document | None = None) -> str:
    """Return one HTML file that opens offline and runs nothing.

    Args:
        found: the estimate.
        run: path of its run directory, or None.
        known: versions and hardware that it was made with, as `environment` gives them; by default
            those of this process.
    """
    known = {"versions": {}, **(environment() if known is None else known)}
    told = dict.fromkeys((rule.__name__ for rule in estimatewords.RULES), "")
    told |= {name: own.text for name, own in estimatewords.claims(found).items()}
    context = {
        "version": environment()["versions"]["taskdiscovery"],
        "found": found,
        "told": told,
        "on": data_name(found.on),
        "tiles": _tiles(found),
        "estimators": _estimators(found),
        "classes": _classes(found),
        "tasks": _tasks(found),
        "misses": estimatewords.misses(found),
        "commands": _commands(found, run),
        "provenance": _provenance(found, known),
        "sprites": {},
    }
    return render("estimate.html.j2", context)


def _tiles(found: Estimate) -> list[Document]:
    """Return the figures that are read first; the truth is not among them."""
    own = found.value
    note = f"by {found.recommended}; {own['level']:.0%} interval {own['low']:.3f} to "
    note += f"{own['high']:.3f} over {own['covers']}"
    note += "" if "shifts" in own["covers"] else ", not over a shift"
    tiles = [tile("Recommended", f"{own['accuracy']:.3f}", note)]
    if found.recommended != "held-out":
        note = f"on {found.calibration:,} labelled images that no run was trained on"
        tiles.append(tile("Held-out accuracy", f"{found.held_out:.3f}", note, "random"))
    if found.bound is not None:
        note = "whatever the labels are: half of 1 and the agreement of the runs"
        tiles.append(tile("At most", f"{found.bound:.3f}", note, "human"))
    if found.range is not None:
        ends = found.range
        note = f"if the label parts from {ends['low_task']}"
        if ends["high_task"] != ends["low_task"]:
            note += f", or from {ends['high_task']}"
        wide = ends["high"] - ends["low"] > estimatewords.NARROW
        text = f"{ends['low']:.2f} to {ends['high']:.2f}"
        tiles.append(tile("Tasks leave open", text, note, "bad" if wide else ""))
    return tiles


def _estimators(found: Estimate) -> Document:
    """Return every estimator, the one that is recommended first, as a figure and a table."""
    rows = sorted(found.numbers["estimators"], key=lambda row: not row["recommended"])
    known = [row for row in rows if row["accuracy"] is not None]
    references = {"held-out": found.held_out}
    if found.bound is not None:
        references["at most"] = found.bound
    drawn = [_dot(row, row["estimator"], "good" if row["recommended"] else "") for row in known]
    label = "Estimates of accuracy with their intervals, beside the held-out accuracy"
    cells = [
        [row["estimator"], _interval(row), row["covers"], row["words"], row["source"]]
        for row in known
    ]
    return {
        "figure": _figure(drawn, references, label),
        **_table(("estimator", "accuracy", "covers", "what it is", "source"), cells),
        "refused": [(row["estimator"], row["refused"]) for row in rows if row["accuracy"] is None],
    }


def _classes(found: Estimate) -> Document:
    """Return the predicted classes, those that fare worst first in the figure."""
    rows = found.numbers["per_class"]
    known = [row for row in rows if row["accuracy"] is not None]
    worst = sorted(known, key=lambda row: row["accuracy"])[:_SHOWN]
    label = "Estimated accuracy on the images that are taken for each class"
    references = {"all images": found.value["accuracy"]}
    cells = [
        [
            *(row["class"], f"{row['images']:,}", f"{row['calibration']:,}"),
            *(_interval(row), _plain(row["bound"]), row["refused"]),
        ]
        for row in rows
    ]
    columns = ("taken for", "images", "held-out images", "accuracy", "at most", "why not")
    return {
        "figure": _figure([_dot(row, row["class"], "") for row in worst], references, label),
        "hidden": len(known) - len(worst),
        **_table(columns, cells),
    }


def _tasks(found: Estimate) -> Document | None:
    """Return the tasks that go with the label, the lowest end first; None without a range."""
    if found.range is None:
        return None
    rows: Sequence[Document] = found.range["tasks"]
    shown = list(rows[:_SHOWN])
    if found.range["high_task"] not in [row["task"] for row in shown]:
        shown[-1] = next(row for row in rows if row["task"] == found.range["high_task"])
    drawn = [
        {
            "name": row["task"],
            "mean": None,
            "low": row["low"],
            "high": row["high"],
            "kind": "bad" if row["high"] - row["low"] > estimatewords.NARROW else "",
        }
        for row in shown
    ]
    references = {"held-out": found.held_out}
    cells = [
        [
            *(row["task"], _plain(row["association"], 2), f"{row['parted']:.1%}"),
            *(_plain(row["accuracy_parted"]), _plain(row["accuracy_together"])),
            f"{row['low']:.3f} to {row['high']:.3f}",
            "yes" if row["explained"] else "no",
        ]
        for row in rows
    ]
    columns = (
        *("task", "goes with the label", "part", "right where they part"),
        *("right where not", "leaves open", "explains the answers"),
    )
    return {
        "figure": _figure(drawn, references, "Accuracies that each task leaves open"),
        "hidden": len(rows) - len(drawn),
        **_table(columns, cells),
    }


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Document:
    """Return a table of texts; columns that say nothing are left out."""
    kept = [j for j in range(len(columns)) if any(row[j] not in ("", "–") for row in rows)]
    return {
        "columns": [columns[j] for j in kept],
        "rows": [[row[j] for j in kept] for row in rows],
        "open": len(rows) <= _OPEN,
    }


def _figure(rows: Sequence[Document], references: dict[str, float], label: str) -> Any:
    """Draw rows; the axis begins at a half where nothing lies below."""
    if not rows:
        return None
    least = min(*(row["low"] for row in rows), *references.values())
    low = 0.5 if least >= 0.5 else 0.0
    return figures.intervals(rows, low=low, references=references, label=label)


def _dot(row: Document, name: str, kind: str) -> Document:
    ends = {"mean": row["accuracy"], "low": row["low"], "high": row["high"]}
    return {"name": name, "kind": kind, **ends}


def _commands(found: Estimate, run: Path | None) -> list[str]:
    """Return the commands that make it again; none where objects were handed over."""
    if run is None or not data_again(found.config):
        return []
    words = words_again("estimate", run, found.config)
    if not words:
        return []
    return [command("estimate", *words, "--out", run), command("report", run)]


def _provenance(found: Estimate, known: Document) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    runs = f"{found.runs} {'run' if found.runs == 1 else 'runs, each from a fresh seed'}"
    facts = [
        ("labelled images", found.data),
        ("learnt", f"{found.target}, by {found.learner}, {runs}"),
        ("trained on", f"{found.trained:,} images"),
        ("calibrated on", f"{found.calibration:,} others, none of which is a copy of one"),
        ("asked about", f"{found.images:,} images of {found.on}"),
    ]
    if found.grouped:
        facts.append(("intervals", "a group of images is one draw, where groups are known"))
    facts.append(("processor", f"{known.get('processor', '')}, {known.get('cpus', '')} cores"))
    return [*facts, ("versions", versions)]


def _interval(row: Document) -> str:
    if row["accuracy"] is None:
        return "–"
    return f"{row['accuracy']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def _plain(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
