"""The planted sets at strength 0.95, shown to cleanlab's check, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.auditing.answers import MORE, TEN
from benchmarks.auditing.cells import SEEDS, Rows
from benchmarks.auditing.ledger import Cell
from benchmarks.auditing.properties import NAMES, asked
from benchmarks.auditing.sets import drawn
from taskdiscovery.data.planting import plant

SETS = ("cifar10-natural", "cifar10-hard", "tiny-natural", "bar")
STRENGTH = 0.95
#: the images as they are, and the images with labels drawn by chance.
PLAIN = ("none", "random labels")


def cleanlab_cells(where: Path, python: str) -> list[Cell]:
    """Return the cells of `cleanlab`."""
    return [
        Cell(
            ("cleanlab", name, cue, f"seed {seed}"),
            beside,
            {"where": where, "python": python, "name": name, "cue": cue, "seed": seed},
        )
        for seed in SEEDS
        for cue in (*PLAIN, *TEN, *MORE)
        for name in SETS
    ]


def beside(where: Path, python: str, name: str, cue: str, seed: int) -> Rows:
    """Ask cleanlab."""
    dataset = drawn(where, name, seed)
    if cue not in PLAIN:
        dataset = plant(dataset, dataset.target("label"), cue, STRENGTH, seed).dataset
    assert dataset.labels is not None
    labels_N = dataset.labels
    if cue == "random labels":
        labels_N = np.random.default_rng([seed, 28]).permutation(labels_N)
    said = asked(python, dataset.images, labels_N)
    named = [flag for flag in said["flags"] if flag in NAMES.get(cue, ())]
    return [{"set": name, "cue": cue, "seed": seed, **said, "named": bool(named)}]
