"""Make dated files, and the tables of docs/estimate.md, of the answers that are kept.

python -m experiments.estimating.tell --work runs/experiments/estimating
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import page
from experiments.estimating import measured
from experiments.ledger import Ledger
from experiments.markdown import paragraphs, table
from experiments.records import Row, newest, record
from taskdiscovery.estimation.estimators import ESTIMATORS

NAME = "estimates"
DOCS = Path(__file__).parents[2] / "docs" / "estimate.md"
#: by the first word of a ledger's keys.
PARTS = {
    "labeling": measured.labelings,
    "corruption": measured.corruptions,
    "split": measured.splits,
}
TITLES = {"labeling": "labelings", "corruption": "corruptions", "split": "splits"}


def main() -> None:
    """Write a dated file for each learner, and the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.estimating.tell", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--work", type=Path, default=Path("runs/experiments/estimating"))
    parser.add_argument("--note", default="", help="of where the answers come from")
    options = parser.parse_args()
    ledger = Ledger(place=options.work / "answers")
    found = {kind: measured.keys(ledger, kind) for kind in PARTS}
    natural = _natural(options.work / "answers")
    learners = {own for keys in found.values() for own in keys["learner"]} | set(natural)
    for learner in sorted(learners):
        began = time.perf_counter()
        document: Row = {"learner": learner, "note": options.note}
        for kind, keys in found.items():
            if (keys["learner"] == learner).any():
                document[TITLES[kind]] = PARTS[kind](ledger, learner)
        if learner in natural:
            document["natural"] = natural[learner]
        print(record(NAME, document, began))
    page.insert(DOCS, text(list(newest()[NAME].values())))


def _natural(place: Path) -> dict[str, Row]:
    """Return what was estimated on BAR, by learner: a row per seed and estimator."""
    found: dict[str, list[Row]] = {}
    for file in sorted(place.glob("natural *.json")):
        _, learner, seed = file.stem.split(" ")
        numbers = json.loads(file.read_text("utf-8"))
        truth = numbers["truth"]["accuracy"]
        row: Row = {"seed": int(seed), "accuracy": truth, "bound": numbers["bound"]}
        row["recommended"] = numbers["recommended"]
        row["miss"] = {
            own["estimator"]: round(own["accuracy"] - truth, 4)
            for own in numbers["estimators"]
            if own["accuracy"] is not None
        }
        made = next(own for own in numbers["estimators"] if own["estimator"] == measured.MADE)
        row[measured.MADE] = {key: made[key] for key in ("low", "high")}
        if numbers["range"] is not None:
            row["range"] = {key: numbers["range"][key] for key in ("low", "high")}
        found.setdefault(learner, []).append(row)
    return {
        learner: {
            "seeds": [row["seed"] for row in rows],
            "accuracy": round(float(np.mean([row["accuracy"] for row in rows])), 4),
            "mean miss": {
                name: round(float(np.mean([row["miss"][name] for row in rows])), 4)
                for name in rows[0]["miss"]
            },
            "rows": rows,
        }
        for learner, rows in found.items()
    }


def text(results: list[Row]) -> str:
    """Write the tables."""
    results = sorted(results, key=lambda own: str(own["learner"]))
    parts = [
        _in_distribution([own for own in results if "labelings" in own]),
        _under_corruption([own for own in results if "corruptions" in own]),
        _under_natural([own for own in results if "natural" in own]),
        _on_splits([own for own in results if "splits" in own]),
        "Files: "
        + ", ".join(f"[{r['file']}](../experiments/results/{r['file']})" for r in results),
    ]
    return paragraphs([part for part in parts if part])


def _in_distribution(results: list[Row]) -> str:
    rows = []
    for own in results:
        its = own["labelings"]
        rows.append(
            [
                f"`{own['learner']}`",
                f"{its['labelings']} × {len(its['seeds'])}",
                *(_mean(its["absolute miss"][way]) for way in ("agreement", "line", "curve")),
                *(_mean(its["coverage"][way], 2) for way in ("line", "curve")),
                f"{its['median width']['curve']:.2f}",
            ]
        )
    head = ["learner", "labelings × seeds", "AS as it is", "line", "curve", "line covers"]
    return paragraphs(
        [
            "### In distribution: accuracy from agreement alone",
            "Mean absolute miss on images that no run was trained on, each labeling told by the "
            "others of its seed; share of 90 % intervals that hold the truth.",
            table([*head, "curve covers", "its median width"], rows),
        ]
    )


def _under_corruption(results: list[Row]) -> str:
    names = [*ESTIMATORS, measured.MADE, measured.RECOMMENDED]
    rows = []
    for name in names:
        cells = [f"`{name}`" if name != measured.RECOMMENDED else name]
        for own in results:
            its = own["corruptions"]["estimators"][name]
            cells += [_mean(its["absolute miss"]), _mean(its["less than held-out by"], sign=True)]
        rows.append(cells)
    head = ["estimator"]
    for own in results:
        head += [f"`{own['learner']}` misses", "less than held-out by"]
    about = [
        f"`{own['learner']}`: {own['corruptions']['accuracy']['clean']:.3f} clean, "
        f"{own['corruptions']['accuracy']['corrupted']:.3f} corrupted, the 90 % interval of "
        f"`{measured.MADE}` holds the truth in "
        f"{own['corruptions']['interval']['coverage']['mean']:.0%}, median width "
        f"{own['corruptions']['interval']['median width']:.2f}, {len(own['corruptions']['seeds'])} "
        "seeds"
        for own in results
    ]
    return paragraphs(
        [
            "### Corrupted images",
            "CIFAR-10's published test images, 14 corruptions at 3 strengths, 3 runs a seed. Mean "
            "absolute miss. " + "; ".join(about) + ".",
            table(head, rows),
        ]
    )


def _under_natural(results: list[Row]) -> str:
    names = [*ESTIMATORS, measured.MADE]
    rows = [
        [f"`{name}`", *(f"{own['natural']['mean miss'][name]:+.3f}" for own in results)]
        for name in names
    ]
    held = []
    for own in results:
        its = own["natural"]["rows"]
        inside = [
            r["range"]["low"] <= r["accuracy"] <= r["range"]["high"] for r in its if "range" in r
        ]
        held.append(
            f"`{own['learner']}`: accuracy {own['natural']['accuracy']:.3f}, the range holds it in "
            f"{sum(inside)} of {len(inside)} seeds"
        )
    return paragraphs(
        [
            "### A shift that nobody made: BAR, from its training images to its published test",
            "Mean miss (estimate less truth) over seeds. " + "; ".join(held) + ".",
            table(["estimator", *(f"`{own['learner']}`" for own in results)], rows),
        ]
    )


def _on_splits(results: list[Row]) -> str:
    rows, ranges = [], []
    for own in results:
        for strength, its in own["splits"]["strengths"].items():
            told = its["conflicting"]
            rows.append(
                [
                    f"`{own['learner']}`",
                    strength,
                    its["cases"],
                    _mean(told["accuracy"]),
                    f"{told['agreement']['mean']:.3f}",
                    *(f"{told['miss'][name]['mean']:+.3f}" for name in ESTIMATORS),
                ]
            )
            for part in ("conflicting", "clean"):
                ranges.append([f"`{own['learner']}`", strength, part, *_range(its[part]["range"])])
    misses = ["learner", "strength", "cases", "accuracy", "AS", *(f"`{n}`" for n in ESTIMATORS)]
    head = ["learner", "strength", "asked", "told", "holds", "median width"]
    return paragraphs(
        [
            "### Adversarial splits",
            "Human cuts of CIFAR-10 that a discovered task goes with, more and more; asked about "
            "are images on which both part. Mean miss.",
            table(misses, rows),
            "The range, at 95 %, where a task goes with the label in the calibration images; "
            "*clean* are test images mixed as the training images are.",
            table([*head, "at 50 % holds", "median width"], ranges),
        ]
    )


def _range(own: Mapping[str, Any]) -> list[str]:
    told = f"{own['told']} of {own['of']}"
    if not own["told"]:
        return [told, *["–"] * 4]
    least = own["at 0.5"]
    cells = [told, _mean(own["holds"], 2), f"{own['median width']:.2f}"]
    return [*cells, f"{least['holds']:.2f}", f"{least['median width']:.2f}"]


def _mean(own: Mapping[str, float], digits: int = 3, sign: bool = False) -> str:
    how = f"{'+' if sign else ''}.{digits}f"
    return f"{own['mean']:{how}} [{own['low']:{how}}, {own['high']:{how}}]"


if __name__ == "__main__":
    main()
