"""What the report shows of a split: both sides by class, and its accuracy beside its controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from taskdiscovery.reporting import figures
from taskdiscovery.reporting.pictures import COLUMNS, Sheet
from taskdiscovery.reporting.thumbnails import thumbnails_of
from taskdiscovery.types import Dataset, Document, Split

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
    return {
        "name": "split",
        "text": _text(split),
        "note": _note(split),
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


def _text(split: Split) -> str:
    accuracy = split.accuracy
    test, random = accuracy["adversarial"], accuracy["random"]
    begin = f"The images are cut along {split.task.name}"
    if test.mean >= random.low:
        return (
            f"{begin}; accuracy on the test side is {test.mean:.0%}, which is not clearly below "
            f"a random split's {random.mean:.0%}."
        )
    beside = [name for name in accuracy if name not in ("adversarial", "within")]
    lowest = min(beside, key=lambda name: accuracy[name].mean)
    below = test.high < accuracy[lowest].low
    return (
        f"{begin}: the network learns {split.target.name} on one side and is tested on the other. "
        f"It is right on {test.mean:.0%} of them ({test.low:.0%} to {test.high:.0%}). A random "
        f"split of the same size and class counts gives {random.mean:.0%}, and images held out "
        f"within the train side {accuracy['within'].mean:.0%}: it did learn, but the wrong thing. "
        f"The nearest control is {lowest} with {accuracy[lowest].mean:.0%}"
        + (", clearly above it." if below else ", which is not clearly above it.")
    )


def _note(split: Split) -> str:
    measured, setup = split.measured, split.setup
    text = (
        f"Every figure: {setup.runs} runs of {setup.learner}, preset {setup.preset}, "
        f"trained on {measured['train']:,} images and measured on {measured['test']:,} that "
        f"neither discovery nor the choice of the split has seen ({measured['within']:,} for "
        f"within). Exact copies across the sides: {split.copies.exact}."
    )
    agreed = split.agreed.get("adversarial")
    right = None if agreed is None else agreed.get("accuracy")
    if agreed is None or right is None or np.isnan(right):
        return text
    text += f" On the {agreed['share']:.0%} of test images on which all runs agree, accuracy is "
    noise = ": label noise is not what fails." if right < 0.5 and agreed["share"] > 0.5 else "."
    return f"{text}{right:.0%}{noise}"


def _name(names: list[str], y: int) -> str:
    return names[y].replace(",", ", ") if y < len(names) else f"class {y}"
