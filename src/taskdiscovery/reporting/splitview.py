"""What the report shows of a split: both sides by class, and its accuracy beside its controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from taskdiscovery.reporting import figures
from taskdiscovery.reporting.pictures import COLUMNS, Sheet
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.splits import words
from taskdiscovery.splits.making import RATE
from taskdiscovery.types import Dataset, Document, Split

#: rows of the table of what differs between the sides.
SIDES = 12
KINDS = {"adversarial": "bad", "within": "good", "untrained": "human"}


def view(split: Split, dataset: Dataset) -> Document:
    """Return what the template needs.

    Args:
        split: the split.
        dataset: the images.
    """
    meta = split.to_frame().astype({"img_filename": str}).set_index("img_filename")
    meta = meta.reindex(dataset.ids.tolist())
    sheet = Sheet(images=thumbnails_of(dataset), ids=dataset.ids)
    names = list(split.target.classes)
    classes = sorted(int(y) for y in meta["y"].dropna().unique())
    binary = len(classes) == 2 and not split.setup.class_balanced
    told = {claim.name: claim for claim in words.claims(split)}
    paragraphs, note = _paragraphs({name: claim.text for name, claim in told.items()})
    return {
        "name": "split",
        "heading": f"A split{' that breaks it' if told['breaks'].holds else ', and its controls'}",
        "paragraphs": paragraphs,
        "note": note,
        "table": _table(split),
        "described": _described(split),
        "figure": figures.intervals(_rows(split), low=0.0, label="Accuracy beside its controls"),
        "grid": _grid(meta, classes, names, split.task.name, sheet) if binary else None,
        "sides": [] if binary else _sides(meta, classes, names, sheet),
        "copies": _copies(split, dataset, sheet),
        "sprite": sheet.sprite(),
        "height": sheet.height,
    }


def _rows(split: Split) -> list[Document]:
    rows: list[Document] = [
        {"name": name, **interval.to_json(), "kind": KINDS.get(name, "random")}
        for name, interval in split.accuracy.items()
    ]
    for learner, accuracy in split.transfer.items():
        rows += [
            {
                "name": f"{learner}: {name}",
                **accuracy[name].to_json(),
                "kind": KINDS.get(name, "random"),
            }
            for name in ("adversarial", "random", "within")
        ]
    return rows


def _grid(
    meta: pd.DataFrame, classes: list[int], names: list[str], task: str, sheet: Sheet
) -> Document:
    """Target class by task class: the diagonal is trained on, the rest tested on, or turned."""
    rows = []
    for y in classes:
        cells = []
        for place in (0, 1):
            own = ((meta["y"] == y) & (meta["place"] == place)).to_numpy()
            chosen = np.flatnonzero(own)
            on_train = bool((meta["split"][own] != 2).mean() > 0.5) if own.any() else False
            cells.append(
                {
                    "kind": "train" if on_train else "test",
                    "count": f"{len(chosen):,} images",
                    "row": _add(sheet, "", chosen),
                }
            )
        rows.append({"name": _name(names, y), "cells": cells})
    return {"rows": rows, "task": task}


def _sides(
    meta: pd.DataFrame, classes: list[int], names: list[str], sheet: Sheet
) -> list[Document]:
    sides = []
    for kind, roles, heading in (("train", (0, 1), "Trained on"), ("test", (2,), "Tested on")):
        on_side = meta["split"].isin(roles).to_numpy()
        rows = []
        for y in classes[:10]:
            own = np.flatnonzero(on_side & (meta["y"] == y).to_numpy())
            rows.append(_add(sheet, f"{_name(names, y)} · {len(own):,} images", own))
        count = f"{int(on_side.sum()):,} images"
        shown = [row for row in rows if row is not None]
        sides.append({"kind": kind, "heading": heading, "count": count, "rows": shown})
    return sides


def _add(sheet: Sheet, heading: str, own: Any) -> Any:
    """Add evenly chosen images, and return their row; None where there are none."""
    before = len(sheet.rows)
    sheet.add(heading, own[np.linspace(0, len(own) - 1, min(COLUMNS, len(own))).astype(int)])
    return sheet.rows[-1] if len(sheet.rows) > before else None


def _copies(split: Split, dataset: Dataset, sheet: Sheet) -> Document | None:
    copies = split.copies
    if not copies.near:
        return None
    row_of = {name: i for i, name in enumerate(dataset.ids.tolist())}
    pairs = [p for p in copies.pairs if p[0] in row_of and p[1] in row_of][:COLUMNS]
    rows = [
        _add_all(sheet, f"{side} side", np.array([row_of[p[i]] for p in pairs], dtype=np.int64))
        for i, side in enumerate(("test", "train"))
    ]
    text = f"{copies.near:,} of {copies.looked_at:,} test images have a near copy in training"
    return {"text": f"{text}; the nearest pairs, one above the other:", "rows": rows}


def _add_all(sheet: Sheet, heading: str, own: Any) -> Any:
    sheet.add(heading, own)
    return sheet.rows[-1]


def _paragraphs(told: dict[str, str]) -> tuple[list[str], str]:
    """Return what is said of the figures, and the note of how they were measured."""
    notes = ("alike", "few", "unseen", "copied", "covered")
    first = ("made", "about", "breaks", "learnable", "learnt", "controls")
    second = [name for name in told if name not in (*first, *notes)]
    parts = (" ".join(told[name] for name in names if name in told) for names in (first, second))
    note = " ".join(told[name] for name in notes if name in told)
    return [text for text in parts if text], note


def _table(split: Split) -> Document:
    """Return every figure with what stands beside it, as texts."""
    columns = ["figure", "accuracy", "covers", "balanced", "worst class", "worst group"]
    columns += ["majority", "runs"]
    rows = []
    for row in split.accuracy_table():
        interval = f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        texts = {"figure": row["figure"], "accuracy": interval}
        rows.append([texts.get(name, _cell(row[name])) for name in columns])
    return {"columns": columns, "rows": rows}


def _described(split: Split) -> Document | None:
    """Return what differs between the sides, most different first; None where nothing does."""
    rows = [row for row in split.sides if row["q"] < RATE][:SIDES]
    if not rows:
        return None
    return {
        "columns": ("property", "among images of", "train side", "test side", "difference"),
        "rows": [
            [
                row["name"],
                row["among"] or "all classes",
                f"{row['train']:.2f}",
                f"{row['test']:.2f}",
                f"{row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]",
            ]
            for row in rows
        ],
        "more": max(0, sum(row["q"] < RATE for row in split.sides) - SIDES),
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _name(names: list[str], y: int) -> str:
    return names[y].replace(",", ", ") if y < len(names) else f"class {y}"
