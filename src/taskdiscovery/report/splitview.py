"""What the report shows of a split: both sides by class, and its accuracy beside its controls."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from taskdiscovery.report import figures
from taskdiscovery.report.pictures import COLUMNS, Sheet
from taskdiscovery.rundir import RunDir
from taskdiscovery.types import Dataset

KINDS = {"adversarial": "bad", "within": "good", "untrained": "human"}


def view(run: RunDir, found: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """Return what the template needs.

    Args:
        run: the run directory.
        found: the entry `split` of its `result.json`.
        dataset: the images.
    """
    file = run.checked("split/metadata.csv")
    meta = pd.read_csv(file, dtype={"img_filename": str}).set_index("img_filename")
    meta = meta.reindex(dataset.ids.tolist())
    sheet = Sheet(images=dataset.images, ids=dataset.ids)
    names = _class_names(dataset, found["target"])
    classes = sorted(int(y) for y in meta["y"].dropna().unique())
    binary = len(classes) == 2 and not found["class_balanced"]
    return {
        "name": "split",
        "text": _text(found),
        "note": _note(found),
        "figure": figures.intervals(_rows(found), low=0.0, label="Accuracy beside its controls"),
        "grid": _grid(meta, classes, names, found, sheet) if binary else None,
        "sides": [] if binary else _sides(meta, classes, names, sheet),
        "copies": _copies(found, dataset, sheet),
        "sprite": sheet.sprite(),
        "height": sheet.height,
    }


def _rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [
        {"name": name, **interval, "kind": KINDS.get(name, "random")}
        for name, interval in found["accuracy"].items()
    ]
    for learner, accuracy in found.get("transfer", {}).items():
        rows += [
            {"name": f"{learner}: {name}", **accuracy[name], "kind": KINDS.get(name, "random")}
            for name in ("adversarial", "random", "within")
        ]
    return rows


def _grid(
    meta: pd.DataFrame, classes: list[int], names: list[str], found: dict[str, Any], sheet: Sheet
) -> dict[str, Any]:
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
    return {"rows": rows, "task": found["task"]}


def _sides(
    meta: pd.DataFrame, classes: list[int], names: list[str], sheet: Sheet
) -> list[dict[str, Any]]:
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


def _copies(found: dict[str, Any], dataset: Dataset, sheet: Sheet) -> dict[str, Any] | None:
    near = found.get("near_duplicates", {})
    if not near.get("count"):
        return None
    place = {name: i for i, name in enumerate(dataset.ids.tolist())}
    pairs = [p for p in near["pairs"] if p["test"] in place and p["train"] in place][:COLUMNS]
    rows = [
        _add_all(sheet, f"{side} side", np.array([place[p[side]] for p in pairs], dtype=np.int64))
        for side in ("test", "train")
    ]
    text = f"{near['count']:,} of {near['looked_at']:,} test images have a near copy in training"
    return {"text": f"{text}; the nearest pairs, one above the other:", "rows": rows}


def _add_all(sheet: Sheet, heading: str, own: Any) -> Any:
    sheet.add(heading, own)
    return sheet.rows[-1]


def _text(found: dict[str, Any]) -> str:
    accuracy = found["accuracy"]
    test, random = accuracy["adversarial"], accuracy["random"]
    begin = f"The images are cut along {found['task']}"
    if test["mean"] >= random["low"]:
        return (
            f"{begin}; accuracy on the test side is {test['mean']:.0%}, which is not clearly below "
            f"a random split's {random['mean']:.0%}."
        )
    lowest = min((n for n in accuracy if n not in ("adversarial", "within")), key=_mean(accuracy))
    below = test["high"] < accuracy[lowest]["low"]
    return (
        f"{begin}: the network learns {found['target']} on one side and is tested on the other. It "
        f"is right on {test['mean']:.0%} of them ({test['low']:.0%} to {test['high']:.0%}). A "
        f"random split of the same size and class counts gives {random['mean']:.0%}, and images "
        f"held out within the train side {accuracy['within']['mean']:.0%}: it did learn, but the "
        f"wrong thing. The nearest control is {lowest} with {accuracy[lowest]['mean']:.0%}"
        + (", clearly above it." if below else ", which is not clearly above it.")
    )


def _mean(accuracy: dict[str, Any]) -> Any:
    return lambda name: accuracy[name]["mean"]


def _note(found: dict[str, Any]) -> str:
    measured = found["measured"]
    text = (
        f"Every figure: {found['runs']} runs of {found['learner']}, preset {found['preset']}, "
        f"trained on {measured['train']:,} images and measured on {measured['test']:,} that "
        f"neither discovery nor the choice of the split has seen ({measured['within']:,} for "
        f"within). Exact copies across the sides: {found['duplicates_across']}."
    )
    agreed = found.get("where_runs_agree", {}).get("adversarial")
    if agreed and agreed.get("accuracy") is not None:
        text += (
            f" On the {agreed['share']:.0%} of test images on which all runs agree, accuracy is "
            f"{agreed['accuracy']:.0%}: label noise is not what fails."
            if agreed["accuracy"] < 0.5 and agreed["share"] > 0.5
            else f" On the {agreed['share']:.0%} of test images on which all runs agree, accuracy "
            f"is {agreed['accuracy']:.0%}."
        )
    return text


def _class_names(dataset: Dataset, spec: str) -> list[str]:
    try:
        return list(dataset.target(spec).classes)
    except Exception:  # a target from a file has no names here
        return []


def _name(names: list[str], y: int) -> str:
    return names[y].replace(",", ", ") if y < len(names) else f"class {y}"
