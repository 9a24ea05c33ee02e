"""Two runs side by side: what each found, how alike their tasks are, and how they were made.

Axes: N images, D tasks of the one run, E tasks of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from taskdiscovery.agreement import similarity
from taskdiscovery.reporting.material import Material
from taskdiscovery.reporting.page import Page
from taskdiscovery.types import BoolArray, Document, FloatArray, Tasks

#: tasks of each run that are shown by pictures, and columns of the table of similarities.
SHOWN, COLUMNS = 12, 16
#: from which on two tasks are called much the same.
ALIKE = 0.8
#: options that say where a run lies or how fast it is, and nothing of what it does.
_IDLE = {"seal", "format", "command", "checkpoint_every", "executor", "jobs", "threads", "out"}
_IDLE |= {"ray_address", "cpus_per_job", "gpus_per_job", "ranks"}


def pair_context(one: Material, other: Material, names: tuple[str, str]) -> Document:
    """Return everything that the template of two runs names.

    Args:
        one, other: what the runs hold.
        names: what they are called.
    """
    sprites: dict[str, str] = {}
    sides = []
    for key, name, material in zip("ab", names, (one, other), strict=True):
        side = Page(material).context()
        sprites |= {f"{key}-{own}": uri for own, uri in side.pop("sprites").items()}
        side |= {"key": key, "name": name, "more": max(0, len(side["tasks"]) - SHOWN)}
        side["tasks"] = side["tasks"][:SHOWN]
        sides.append(side)
    return {
        "title": f"{names[0]} beside {names[1]}",
        "version": sides[0]["version"],
        "sides": sides,
        "likeness": _likeness(one, other, names),
        "options": _options(one.config, other.config),
        "sprites": sprites,
    }


def _likeness(one: Material, other: Material, names: tuple[str, str]) -> Document | None:
    """Return how alike each task of the one run is to those of the other; None without tasks."""
    a, b = one.tasks, other.tasks
    if a is None or b is None:
        return None
    if not np.array_equal(a.ids_N, b.ids_N) or one.dataset.fingerprint != other.dataset.fingerprint:
        text = "The runs are of other images, so that their tasks are not compared."
        return {"text": text, "columns": (), "rows": []}
    where_N = _unseen(a) & _unseen(b)
    where = "images that neither discovery has seen"
    if not where_N.any():
        where_N, where = np.ones(len(a.ids_N), dtype=bool), "all images"
    matrix_DE = _similarities(a, b, where_N)
    nearest_D, best_D = matrix_DE.argmax(axis=1), matrix_DE.max(axis=1)
    alike = int((best_D >= ALIKE).sum())
    text = (
        f"Similarity is the share of {where} ({int(where_N.sum()):,}) labelled alike under the "
        f"best renaming of classes. {alike or 'None'} of {len(a)} tasks of {names[0]} "
        f"{'has' if alike == 1 else 'have'} a task of {names[1]} that is at least {ALIKE} like "
        f"{'it' if alike == 1 else 'them'}; the nearest are {best_D.mean():.2f} alike on average."
    )
    rows = [
        {
            "name": name,
            "nearest": b.names[nearest],
            "cells": [
                {"value": f"{value:.2f}", "shade": round(2 * max(value - 0.5, 0.0), 3)}
                for value in matrix_DE[d, :COLUMNS].tolist()
            ],
        }
        for d, (name, nearest) in enumerate(zip(a.names, nearest_D.tolist(), strict=True))
    ]
    return {"text": text, "columns": b.names[:COLUMNS], "rows": rows}


def _unseen(tasks: Tasks) -> BoolArray:
    seen_N = np.zeros(len(tasks.ids_N), dtype=bool) if tasks.seen_N is None else tasks.seen_N
    return ~seen_N


def _similarities(a: Tasks, b: Tasks, where_N: BoolArray) -> FloatArray:
    matrix_DE = np.zeros((len(a), len(b)))
    for d in range(len(a)):
        for e in range(len(b)):
            labels = a.labels_ND[where_N, d], b.labels_ND[where_N, e]
            matrix_DE[d, e] = similarity(*labels, max(a.k[d], b.k[e]))
    return matrix_DE


def _options(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the options that differ: name, and what either says."""
    keys = [key for key in {**one, **other} if key not in _IDLE]
    pairs = [(key, _text(one.get(key)), _text(other.get(key))) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "–" if value in (None, "") else str(value)
