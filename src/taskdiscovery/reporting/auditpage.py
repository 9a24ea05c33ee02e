"""One page of an audit: the verdict and the cue behind it on pictures, then all that was found.

Axes: N images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from taskdiscovery.reporting import auditcommands
from taskdiscovery.reporting.auditpictures import Strips
from taskdiscovery.reporting.rendering import render
from taskdiscovery.store import environment
from taskdiscovery.store.audited import cue_of_split, file_names
from taskdiscovery.store.layout import ALIGNED, CONFLICT, CUE_IMAGES
from taskdiscovery.types import Audit, Cue, Dataset, Document, Interval, Labeling
from taskdiscovery.types.audit import ARTEFACT, CONTEXT, FAIL, FILE, NONE, PASS, WARN

if TYPE_CHECKING:
    import pandas as pd

#: how verdicts look; the words are those of the style sheet.
_LOOKS = {FAIL: "fail", WARN: "warn", PASS: "pass", NONE: "none"}
_KINDS = {
    FILE: "a fact of the files, which networks on pixels do not see as such",
    ARTEFACT: "a trace of how the pictures were made",
    CONTEXT: "what the pictures were taken of, or in what light",
}
#: each figure: its letter, its name, and what it says.
FIGURES = {
    "U": (
        "unique gain",
        "how much better the view tells the class than the rest of the picture alone, in nats an "
        "image, with its 95 % interval; z is the gain in its standard error",
    ),
    "Z": (
        "matched control",
        "how much more often the view tells the class than a view like it where nothing is "
        "expected (its mirror image, a ring further in), in standard errors",
    ),
    "M": (
        "two heaps",
        "how much better two heaps of images, with the cue and without, explain what the view says "
        "than one heap a class does; only then there is a list of images against the cue",
    ),
    "R": (
        "share of the whole",
        "how well the view alone tells the class, beside the whole picture: 1 is as well",
    ),
    "F": (
        "followed",
        "how much more often a network's decision becomes another class when the view is taken "
        "from an image of that class, than it changes when taken from one of the same class",
    ),
}
_USED: dict[bool | None, str] = {
    True: "followed by networks",
    False: "not followed by networks",
    None: "not tried on networks",
}
_TESTS = {
    "unique": "it tells more than the rest of the picture",
    "control": "it tells more than its matched control",
    "modes": "images fall into two heaps, with it and without",
    "ratio": "it alone tells nearly as much as the whole picture",
}
_MOST_ROWS = 20
#: cues that are shown with pictures; of many targets there may be hundreds.
_MOST_CUES = 24


def audit_page(
    found: Audit, labelings: Sequence[Labeling], dataset: Dataset, run: Path | None = None
) -> str:
    """Return one HTML file that opens offline and runs nothing.

    Args:
        found: the audit.
        labelings: that it looked at, over all images of the data set.
        dataset: the images.
        run: path of the run directory that the page and the images' lists lie in; None where there
            is none, and then nothing is linked.
    """
    strips = Strips(dataset, labelings)
    names = file_names(found) if run is not None else {}
    present = [cue for cue in found.cues if cue.present]
    present, more = present[:_MOST_CUES], present[_MOST_CUES:]
    cues = [_card(cue, strips, names.get((cue.target, cue.view))) for cue in present]
    strongest = next((card for card in cues if not card["allowed"]), None)
    context = {
        "version": environment()["versions"]["taskdiscovery"],
        "found": found,
        "look": _LOOKS[found.verdict],
        "verdicts": _verdicts(found),
        "strongest": strongest,
        "cues": cues,
        "more": [[cue.view, cue.target, cue.class_name, _interval(cue.unique)] for cue in more],
        "absent": _absent(found),
        "legend": FIGURES,
        "todo": _todo(found, cues, dataset, run),
        "tables": [table for table in _tables(found) if table is not None],
        "command": auditcommands.again(found, run),
        "provenance": _provenance(found, dataset),
        "pictures": strips.shown,
        "height": strips.height,
        "aspect": strips.aspect,
        "sprites": strips.sprites(),
    }
    return render("audit.html.j2", context)


def _verdicts(found: Audit) -> list[Document]:
    """Return the verdict of each target with its classes, where there is more than one target."""
    return [
        {
            "target": target,
            "verdict": verdict,
            "look": _LOOKS[verdict],
            "classes": [
                {"name": name, "images": count}
                for name, count in found.classes.get(target, {}).items()
            ],
        }
        for target, verdict in found.verdicts.items()
    ]


def _card(cue: Cue, strips: Strips, name: str | None) -> Document:
    """Return what is shown of one cue that is present."""
    lists = {}
    if name is not None:
        lists = {side: f"{CUE_IMAGES}/{side}-{name}.csv" for side in (ALIGNED, CONFLICT)}
    return {
        "view": cue.view,
        "words": cue.words,
        "kind": cue.kind,
        "about": _KINDS[cue.kind],
        "target": cue.target,
        "class_name": cue.class_name,
        "classes": cue.classes,
        "allowed": cue.allowed,
        "used": _USED[cue.used],
        "look": "bad" if cue.used else "",
        "reasons": [_TESTS.get(one, one) for one in cue.reasons],
        "figures": _figures(cue),
        "bars": _bars(cue),
        "boxes": strips.boxes(cue),
        "strips": strips.of(cue),
        "aligned_count": len(cue.aligned_rows),
        "conflict_count": len(cue.conflict_rows),
        "lists": lists,
        "remedy": cue.remedy,
    }


def _figures(cue: Cue) -> list[Document]:
    """Return the figures of a cue by their letters."""
    values = {"U": f"{_interval(cue.unique)}, z {_plain(cue.unique_z)}"}
    if cue.control_z is not None:
        values["Z"] = _plain(cue.control_z)
    if cue.mode_gain is not None:
        more = [
            (cue.mode_distance, "{} deviations apart"),
            (cue.mode_difference, "shares differ by {}"),
        ]
        told = [words.format(_plain(value)) for value, words in more if value is not None]
        values["M"] = ", ".join([_plain(cue.mode_gain), *told])
    values["R"] = _plain(cue.ratio)
    if cue.follows is not None:
        values["F"] = _interval(cue.follows)
    return [
        {"letter": letter, "name": FIGURES[letter][0], "title": FIGURES[letter][1], "value": value}
        for letter, value in values.items()
    ]


def _bars(cue: Cue) -> list[Document]:
    """Return what networks do, as bars from 0 to 1; nothing where none was asked."""
    known = (
        ("F: decisions that follow the view", cue.follows, "bad" if cue.used else "random"),
        ("right where the cue agrees", cue.aligned, "good"),
        ("right where it is against", cue.conflict, "bad"),
    )
    return [
        {
            "name": name,
            "kind": kind,
            "low": 100 * _within(x.low),
            "width": 100 * (_within(x.high) - _within(x.low)),
            "mean": 100 * _within(x.mean),
            "text": _interval(x),
        }
        for name, x, kind in known
        if x is not None and all(map(math.isfinite, (x.mean, x.low, x.high)))
    ]


def _within(value: float) -> float:
    return min(max(value, 0.0), 1.0)


def _absent(found: Audit) -> list[list[str]]:
    """Return rows of the cues that are not present, the strongest first."""
    return [
        [
            *(cue.view, cue.target, cue.class_name, _interval(cue.unique), _plain(cue.unique_z)),
            *("" if cue.control_z is None else _plain(cue.control_z), _plain(cue.ratio)),
        ]
        for cue in found.cues
        if not cue.present
    ]


def _todo(found: Audit, cues: Sequence[Document], dataset: Dataset, run: Path | None) -> Document:
    """Return remedies, lists of images, and the split with the commands that use it."""
    chosen = cue_of_split(found)
    split = None
    if chosen is not None and run is not None:
        split = {
            "view": chosen.view,
            "target": chosen.target,
            "train": len(chosen.aligned_rows),
            "test": len(chosen.conflict_rows),
            "command": auditcommands.command_of_split(found, run),
            "python": auditcommands.python_of_split(run),
        }
    own = [cue for cue in cues if not cue["allowed"]]
    remedies = [cue for cue in own if cue["remedy"]]
    lists = [cue for cue in own if cue["lists"] and cue["conflict_count"]]
    return {"remedies": remedies, "lists": lists, "split": split}


def _tables(found: Audit) -> list[Document | None]:
    """Return what the rest of the house says: groups, tasks, classes at risk."""
    compared = found.comparison
    classes = None if compared is None else list(compared.get("classes") or [])
    risk = [] if compared is None else [str(one) for one in compared.get("classes_at_risk") or []]
    return [
        _table(
            "Groups within classes",
            "Found on frozen features, without any label but the class. A group is at risk where "
            "networks are right on it less often than on groups of the same sizes drawn by chance "
            "(control).",
            _records(found.semantic),
        ),
        _table(
            "Discovered tasks that are present in the labels",
            "AUC says how well the task goes with the label. Split accuracy is that of networks "
            "trained where label and task agree and asked where they part; beside it that of a "
            "random split of the same size.",
            _records(found.tasks),
        ),
        _table(
            "Classes at risk on the second data set",
            f"At risk: {', '.join(risk) or 'none'}.",
            classes,
        ),
    ]


def _records(table: pd.DataFrame | None) -> list[Document] | None:
    if table is None:
        return None
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]


def _table(heading: str, text: str, rows: Sequence[Document] | None) -> Document | None:
    """Return a table as texts; a row that is at risk is marked."""
    if rows is None:
        return None
    columns = list(dict.fromkeys(key for row in rows for key in row if key != "at_risk"))
    shown = sorted(rows, key=lambda row: not row.get("at_risk", False))
    cells = [
        {
            "risk": bool(row.get("at_risk", False)),
            "cells": [_cell(row.get(key)) for key in columns],
        }
        for row in shown[:_MOST_ROWS]
    ]
    more = len(rows) - len(cells)
    heads = [str(name).replace("_", " ") for name in columns]
    return {"heading": heading, "text": text, "columns": heads, "rows": cells, "more": more}


def _cell(value: object) -> str:
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return _plain(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def _provenance(found: Audit, dataset: Dataset) -> list[tuple[str, str]]:
    known = environment()
    versions = ", ".join(f"{name} {version}" for name, version in known["versions"].items())
    facts = [
        ("data", f"{found.data}, {len(dataset):,} images, {found.images:,} looked at"),
        ("fingerprint", dataset.fingerprint),
        ("networks", found.networks or "none were trained"),
        ("time", f"{found.seconds:.0f} s"),
        ("processor", f"{known.get('processor', '')}, {known.get('cpus', '')} cores"),
    ]
    return [*facts, ("versions", versions)]


def _interval(value: Interval) -> str:
    return f"{_plain(value.mean)} ({_plain(value.low)} to {_plain(value.high)})"


def _plain(value: float) -> str:
    if not math.isfinite(value):
        return "–"
    if abs(value) < 1:
        return f"{value:.3f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
