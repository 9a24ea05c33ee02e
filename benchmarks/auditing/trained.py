"""Does `used` say what networks do? The audit's word beside the gap of accuracy of other networks.

The truth: networks of other seeds, of the learner and options that the audit has, trained on the
planted images; held-out images of the same classes, with the cue where it goes with the class
(aligned), and the same images with it the other way round (conflict). The gap is the difference of
the accuracies. A cue is used in truth where the gap is at least `answers.GAP`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import taskdiscovery as td
from benchmarks.auditing.answers import RIGHT, TEN, of_cue
from benchmarks.auditing.cells import SEEDS, Rows, asked_of, config_of
from benchmarks.auditing.ledger import Cell
from benchmarks.auditing.sets import GROUPINGS, drawn
from taskdiscovery.data.planting import plant
from taskdiscovery.types import Document

SETS = ("cifar10-hard", "tiny-32", "cifar10-natural")
STRENGTHS = (1.0, 0.95)
#: held-out images of each kind; less where a set has no more.
HELD_OUT = 1000


def used_cells(where: Path) -> list[Cell]:
    """Return the cells of `used`, 60 of each set; the first two sets come first."""
    return [
        Cell(
            ("used", name, cue, str(strength), f"seed {seed}"),
            used,
            {"where": where, "name": name, "cue": cue, "strength": strength, "seed": seed},
        )
        for sets in (SETS[:2], SETS[2:])
        for seed in SEEDS
        for cue in TEN
        for strength in STRENGTHS
        for name in sets
    ]


def used(where: Path, name: str, cue: str, strength: float, seed: int) -> Rows:
    """Ask the audit, then networks."""
    dataset = drawn(where, name, seed)
    made = plant(dataset, dataset.target("label"), cue, strength, seed)
    began = time.process_time()
    asked = asked_of(made.dataset, made.dataset.target("label"), seed, networks="always")
    auditing = time.process_time() - began
    own = [of_cue(one) for one in asked.cues if one.view in RIGHT[cue].views]
    return [
        {
            "set": name,
            "cue": cue,
            "strength": strength,
            "seed": seed,
            "verdict": asked.verdict,
            "sentence": asked.sentence,
            "networks": asked.networks,
            "own": _strongest(own),
            "present": [of_cue(one) for one in asked.present],
            **truth(where, name, made.dataset, cue, seed),
            "audit_cpu": round(auditing, 1),
            "layout": [note for note in asked.notes if "layout" in note],
        }
    ]


def _strongest(cues: list[Document]) -> Document | None:
    """Return the right view that was asked about and is present, or the first that there is."""

    def order(cue: Document) -> tuple[bool, bool]:
        return (bool(cue["present"]), cue.get("used") is not None)

    return max(cues, key=order, default=None)


def truth(where: Path, name: str, trained_on: Any, cue: str, seed: int) -> dict[str, Any]:
    """Return accuracies of networks on images with the cue as learnt, and the other way round."""
    config = config_of(seed)
    fitted = td.fit(
        trained_on,
        "label",
        learner=config.learner,
        preset=config.preset,
        runs=2,
        seed=1000 + seed,  # not the audit's networks
        test_images=100,
        threads=1,
        executor="serial",
        callbacks=(),
    )
    others = drawn(where, name, seed, HELD_OUT, skip=GROUPINGS[name].most)
    target = others.target("label")
    found: dict[str, Any] = {"held_out": len(others)}
    for way, strength in (("aligned", 1.0), ("conflict", 0.0)):
        held_out = plant(others, target, cue, strength, seed).dataset
        found[way] = round(fitted.evaluate(held_out, "label").accuracy.mean, 4)
    found["plain"] = round(fitted.evaluate(others, "label").accuracy.mean, 4)
    return found | {"gap": round(found["aligned"] - found["conflict"], 4)}
