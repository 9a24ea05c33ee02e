"""The methods at equal numbers of tasks, and at equal wall time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from experiments import records
from experiments.laboratory import Laboratory, as_labelings, mean
from experiments.markdown import paragraphs, span, table
from experiments.records import Row
from experiments.study import Study, found, search

COUNTS = (8, 32)
#: outer steps of `meta`, which are what its time goes by.
STEPS = 150
#: what is compared, and by which options of the search.
METHODS: dict[str, dict[str, Any]] = {
    "power": {},
    "power-pixels": {"start": "pixels"},
    "power-linear": {"targets": "linear", "average": 3, "encoder_epochs": 12},
    "power-linear-pixels": {
        "start": "pixels",
        "targets": "linear",
        "average": 7,
        "encoder_epochs": 12,
    },
    "spectral": {"method": "spectral"},
    "pixels": {"method": "spectral", "start": "pixels"},
    "meta": {"method": "meta", "outer_steps": STEPS},
}


def run(lab: Laboratory, learner: str) -> Row:
    """Compare agreement, similarity and cost."""
    rows = []
    for count in COUNTS:
        for name, options in METHODS.items():
            tasks, result = found(lab, learner, count, **options)
            scores = lab.scores(
                f"methods {learner} {name} {count}",
                as_labelings(tasks, name, 4),
                seen_N=tasks.seen_N,
                learner=learner,
            )
            rows.append(
                {
                    "method": _called(name),
                    "tasks": count,
                    "agreement": mean(scores, name),
                    "kappa": round(float(np.mean([row["kappa"] for row in scores])), 4),
                    "similarity": result["similarity"],
                    "cost": lab.cost(search(learner, count, **options)),
                    "rows": scores,
                }
            )
    return {"learner": learner, "preset": "quick", "rows": rows}


def tell(results: list[Row], place: Path) -> str:
    """Write a table for each learner, who leads it, and the benchmark at equal wall time."""
    parts = ["## Methods", "Equal numbers of tasks, equal preset, one core each."]
    for result in results:
        rows = []
        for row in result["rows"]:
            cost, alike = row["cost"], row["similarity"]
            rows.append(
                [
                    row["tasks"],
                    f"`{row['method']}`",
                    f"{row['agreement']['tasks']}: {span(row['agreement'])}",
                    f"{row['kappa']:.3f}",
                    f"{alike['mean']:.3f} ({alike['max']:.3f})",
                    f"{cost['images_trained_on']:,}",
                    f"{cost['seconds']:.0f} s",
                ]
            )
        head = [f"`{result['learner']}`, d", "method", "AS of those scored", "κ"]
        parts.append(table([*head, "similarity (max)", "images trained on", "search"], rows))
        counts = sorted({row["tasks"] for row in result["rows"]})
        parts += [_rivals(result, count) for count in counts]
        if all("--start pixels" in _leader(result, count)["method"] for count in counts):
            parts.append(_PIXELS)
        parts += [_from_pixels(result, counts), _linear(result, counts)]
    parts.append(_IMAGES)
    if compared := records.benchmark("compare"):
        parts.append(_equal_time(compared))
    return paragraphs(parts)


#: said where pixels lead.
_PIXELS = """
`spectral --start pixels` is the principal components of pixels, turned; no network has a part in
them. An MLP sees pixels without their neighbourhoods, and on linear functions of many pixels two of
them agree most. On an MLP, then, a search must first be above principal components to be worth its
time; and a high AS alone does not make a task worth having.
"""

_IMAGES = """
An image that `meta` trains on costs several times one of `power`: it goes through the networks,
back, and both ways again for the derivative of the training. The published search (two ResNet-18,
50 inner steps of 512 images each) trains on 51,200 images in every outer step.
"""


def _called(name: str) -> str:
    """Return a method as the command line has it, with the options that make it another one."""
    options = {"method": "power", **METHODS[name]}
    method = str(options.pop("method"))
    return method + "".join(f" --{key.replace('_', '-')} {v}" for key, v in options.items())


def _leader(result: Row, count: int) -> Row:
    """Return the row of the highest agreement among those of so many tasks."""
    rows = [row for row in result["rows"] if row["tasks"] == count]
    return max(rows, key=lambda row: float(row["agreement"]["mean"]))


def _row(result: Row, method: str, count: int) -> Row | None:
    """Return what was found by a method; None where it was not compared."""
    rows = (r for r in result["rows"] if (r["method"], r["tasks"]) == (method, count))
    return next(rows, None)


def _rivals(result: Row, count: int) -> str:
    """Say which method has the highest agreement, and what it pays for that beside `power`."""
    best = _leader(result, count)
    if best["method"] == "power":
        return f"{count} tasks: `power` has the highest AS."
    power = _row(result, "power", count)
    assert power is not None
    gain = best["agreement"]["mean"] - power["agreement"]["mean"]
    return (
        f"{count} tasks: the highest AS is that of `{best['method']}`, {gain:+.3f} beside `power`, "
        f"at a similarity of {best['similarity']['mean']:.3f} beside "
        f"{power['similarity']['mean']:.3f} (most similar pair {best['similarity']['max']:.3f} "
        f"beside {power['similarity']['max']:.3f}), in {best['cost']['seconds']:.0f} s of search "
        f"beside {power['cost']['seconds']:.0f} s."
    )


def _gains(result: Row, of: str, beside: str, counts: list[int]) -> dict[int, float]:
    """Return how far one of METHODS is above another by numbers of tasks; those compared only."""
    rows = {n: [_row(result, _called(name), n) for name in (of, beside)] for n in counts}
    return {
        n: float(first["agreement"]["mean"] - second["agreement"]["mean"])
        for n, (first, second) in rows.items()
        if first is not None and second is not None
    }


def _told(gains: dict[int, float]) -> str:
    return " and ".join(f"{gain:+.3f} at {count} tasks" for count, gain in gains.items())


def _from_pixels(result: Row, counts: list[int]) -> str:
    """Say what it does to `power` to begin with pixels; nothing where it gains nothing."""
    gains = _gains(result, "power-pixels", "power", counts)
    if not gains or min(gains.values()) <= 0:
        return ""
    return (
        "`power` begins with the features of the untrained network. Begun from pixels it ends with "
        f"better tasks ({_told(gains)}, in the mean of those scored), though it goes on in the "
        "same way: its few iterations do not forget where they began, so it has not converged when "
        f"its subspace turns no faster. For `{result['learner']}` give `--start pixels`; other "
        "learners are not in this comparison."
    )


def _linear(result: Row, counts: list[int]) -> str:
    """Say what it does to `power` to train on coordinates that are not squashed, averaged."""
    features = _gains(result, "power-linear", "power", counts)
    pixels = _gains(result, "power-linear-pixels", "power-pixels", counts)
    components = _gains(result, "power-linear-pixels", "pixels", counts)
    if not (features and pixels and components):
        return ""
    return (
        "By default the networks are trained on squashed coordinates, tanh(2Y), which makes an "
        "operator that is not linear. With `--targets linear` they are trained on Y; the last "
        "iterations are averaged, against the noise of single trainings, and the encoder is fitted "
        "for longer (what each of the three does alone is not on this page). Beside the "
        f"defaults, AS is {_told(features)} from features, and {_told(pixels)} from pixels. Beside "
        f"the components of pixels, from which these last began, it is {_told(components)}."
    )


def _equal_time(compared: Row) -> str:
    rows = [
        [
            f"`{row['row']}`",
            span(row),
            f"{row['similarity']['mean']:.3f}" if row["similarity"] else "–",
            f"{row['seconds']:.0f} s",
        ]
        for row in compared["rows"]
    ]
    options = compared["options"]
    return paragraphs(
        [
            f"At equal wall time (`{options['learner']}`, eight tasks, at most "
            f"{float(options['seconds']):.0f} s of one core, preset `quick`), with the controls of "
            "`meta`: its encoder untrained, and trained for uniformity alone.",
            table(["tasks", "AS", "similarity", "search"], rows),
        ]
    )


STUDY = Study(
    run=run,
    tell=tell,
    minutes=40,
    learners=("mlp",),
    about="methods at equal numbers of tasks",
)
