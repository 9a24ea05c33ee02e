"""What is done in a cell: presence with and without a plant, on clean labels, and by size."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.auditing import clean as clean_sets
from benchmarks.auditing.answers import MORE, TEN, of_cue, ordered, outcome
from benchmarks.auditing.groups import pairs, singles
from benchmarks.auditing.ledger import Cell, chosen
from benchmarks.auditing.sets import PLANTED, drawn, known, labeling
from taskdiscovery.auditing.auditing import audit, is_enough
from taskdiscovery.auditing.presence import findings
from taskdiscovery.auditing.seen import Seen, look
from taskdiscovery.config.audit import AuditConfig
from taskdiscovery.data.planting import plant
from taskdiscovery.runtime.callbacks import Callbacks
from taskdiscovery.runtime.progress import Silent
from taskdiscovery.store.journal import Journal
from taskdiscovery.types import Dataset, Document, Labeling
from taskdiscovery.types.audit import Audit

Rows = list[dict[str, Any]]
STRENGTHS = (1.0, 0.95, 0.8, 0.6)
SEEDS = (1, 2, 3)
#: of `power`: images, shares, cues of four kinds.
SIZES = (300, 600, 1200, 3000, 10_000)
SHARES = (1.0, 0.9, 0.8, 0.7, 0.6)
FOUR = ("logo", "text", "brightness", "noise")
#: labelings of a clean set that are judged together, on one look at its images.
_AT_ONCE = 40


def planted_cells(where: Path) -> list[Cell]:
    """Return the cells of `planted`: all of a seed before the next, ten cues before the others."""
    found: list[Cell] = []
    for cues in (("none", *TEN), MORE):
        for seed in SEEDS:
            for cue in cues:
                for name in PLANTED:
                    for strength in (0.5,) if cue == "none" else STRENGTHS:
                        options = {"name": name, "cue": cue, "strength": strength, "seed": seed}
                        key = ("planted", name, cue, str(strength), f"seed {seed}")
                        found.append(Cell(key, planted, {"where": where, **options}))
    return found


def planted(where: Path, name: str, cue: str, strength: float, seed: int) -> Rows:
    """Look for what was planted."""
    dataset = drawn(where, name, seed)
    return [_looked(dataset, cue, strength, seed, {"set": name})]


def _looked(dataset: Dataset, cue: str, strength: float, seed: int, known: dict[str, Any]) -> Any:
    if cue != "none":
        dataset = plant(dataset, dataset.target("label"), cue, strength, seed).dataset
    began = time.perf_counter()
    seen = look(dataset, seed, Silent())
    looked = time.perf_counter() - began
    return {
        **known,
        "cue": cue,
        "strength": strength,
        "seed": seed,
        "images": len(dataset),
        "layout": round(seen.layout, 3),
        "figures": read(seen, [dataset.target("label")], seed)[0],
        "look_seconds": round(looked, 2),
        "read_seconds": round(time.perf_counter() - began - looked, 2),
    }


def read(seen: Seen, targets: Sequence[Labeling], seed: int) -> list[list[Document]]:
    """Return what every view says of labelings of two classes, in the order of an audit."""
    return [ordered(own[0][1]) for own in findings(seen, targets, seed)]


def config_of(seed: int, **more: Any) -> AuditConfig:
    """Return the options of every audit here: what a user gets who gives none."""
    return AuditConfig(seed=seed, threads=1, executor="serial", **more)


def power_cells(where: Path) -> list[Cell]:
    """Return the cells of `power`, the small ones first."""
    return [
        Cell(
            ("power", cue, str(count), str(share), f"seed {seed}"),
            power,
            {"where": where, "cue": cue, "count": count, "strength": share, "seed": seed},
        )
        for count in SIZES
        for seed in SEEDS
        for cue in ("none", *FOUR)
        for share in ((0.5,) if cue == "none" else SHARES)
    ]


def power(where: Path, cue: str, count: int, strength: float, seed: int) -> Rows:
    """Look for it among so many images of CIFAR-10, animals and vehicles."""
    name = "cifar10-natural"
    dataset = drawn(where, name, seed, count)
    return [_looked(dataset, cue, strength, seed, {"set": name, "count": count})]


@lru_cache(maxsize=1)
def _clean(where: Path, icons: Path | None, name: str) -> tuple[clean_sets.Clean, Seen, float]:
    made = clean_sets.sets(where, icons)[name]()
    began = time.perf_counter()
    seen = look(made.dataset, 0, Silent())
    return made, seen, time.perf_counter() - began


def clean_cells(where: Path, icons: Path | None, only: Sequence[str] = ()) -> list[Cell]:
    """Return the cells of `clean`: blocks of labelings of each set, by its first and last.

    Sets that `only` does not name are not read.
    """
    found: list[Cell] = []
    every = clean_sets.sets(where, icons)
    wanted = chosen([Cell(("clean", name), clean, {}) for name in every], only)
    for name in (cell.key[1] for cell in wanted):
        try:
            count = len(every[name]().every)
        except ImportError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        for start in range(0, count, _AT_ONCE):
            stop = min(count, start + _AT_ONCE)
            block = {"name": name, "start": start, "stop": stop}
            key = ("clean", name, f"{start} to {stop - 1}")
            found.append(Cell(key, clean, {"where": where, "icons": icons, **block}))
    return found


def clean(where: Path, icons: Path | None, name: str, start: int, stop: int) -> Rows:
    """Judge labelings of a clean set; where an artefact is present, ask networks, too."""
    made, seen, looked = _clean(where, icons, name)
    families, targets = zip(*made.every[start:stop], strict=True)
    rows = judged(made.dataset, seen, targets)
    about = {"set": name, "sort": made.sort, "layout": round(seen.layout, 3)}
    about["look_seconds"] = round(looked, 2)
    return [about | {"family": family} | row for family, row in zip(families, rows, strict=True)]


def judged(dataset: Dataset, seen: Seen, targets: Sequence[Labeling], seed: int = 0) -> Rows:
    """Return what an audit makes of clean labels: figures, outcome, and a verdict.

    The verdict comes from the whole audit of the labelled images alone where an artefact is
    present: only then can it be FAIL. Otherwise the outcome is the verdict.
    """
    enough = [target for target in targets if is_enough(target)]
    known_cues = iter(read(seen, enough, seed))
    rows = []
    for target in targets:
        row: dict[str, Any] = {"labeling": target.name, "images": int(target.known_N.sum())}
        if is_enough(target):
            row["figures"] = cues = next(known_cues)
            row["outcome"] = found = outcome(cues)
            row["verdict"] = {"artefact": "WARN", "context": "WARN", "none": "PASS"}[found]
            if found == "artefact":
                asked = asked_of(*known(dataset, target), seed)
                row |= {"verdict": asked.verdict, "sentence": asked.sentence}
                row["asked"] = [of_cue(cue) for cue in asked.present]
                row["notes"] = list(asked.notes)
        else:
            row |= {"figures": [], "outcome": "none", "verdict": "NONE"}
        rows.append(row)
    return rows


def asked_of(dataset: Dataset, target: Labeling, seed: int, **more: Any) -> Audit:
    """Audit with networks."""
    from taskdiscovery.executors import resolve_training

    config = config_of(seed, **more).filled()
    config = resolve_training(config, dataset, config.runs, {config.learner: {target.k}})
    return audit(dataset, [target], config, Journal(), Callbacks())


def marks_cells(where: Path) -> list[Cell]:
    """Return the cells of `marks`: cues that go with nothing."""
    return [
        Cell(
            ("marks", name, cue, f"seed {seed}"),
            marks,
            {"where": where, "name": name, "cue": cue, "seed": seed},
        )
        for seed in SEEDS
        for name in ("cifar10-0", "cifar10-1", "tiny-natural")
        for cue in TEN
    ]


def marks(where: Path, name: str, cue: str, seed: int) -> Rows:
    """Plant a cue in half of the images of either class, and judge labels that it tells nothing of.

    Beside the labeling that the halves were drawn for stand others of the same images, to which
    the cue goes by chance.
    """
    if name.startswith("cifar10"):
        made = clean_sets.cifar(where, int(name.rpartition("-")[2]))
        dataset, some = made.dataset, {**singles(), **pairs()}
        target = made.families["natural"][0]
    else:
        dataset, some = drawn(where, name, seed), {}
        target = dataset.target("label")
    done = plant(dataset, target, cue, 0.5, seed)
    # Its labels are the two sides; those of the classes come from the images that were drawn.
    own = done.dataset
    seen = look(own, seed, Silent())
    targets = [own.target("label")]
    targets += [labeling(dataset, some[key], key) for key in sorted(some)[seed::11]]
    about = {"set": name, "cue": cue, "seed": seed, "strength": 0.5}
    return [about | row for row in judged(own, seen, targets, seed)]
