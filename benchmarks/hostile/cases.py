"""Cases: a run or an input, mutated, and what is tried on it, drawn from a seed and a number."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.hostile import commands, documents, entries, inputs, tables, tensors
from benchmarks.hostile.arena import Arena
from benchmarks.hostile.bases import BASES
from benchmarks.hostile.values import ESCAPES, paths

#: how often an input is drawn in place of a run.
INPUTS = 0.3
_DOCUMENTS = (".json", ".jsonl", ".yaml")
#: documents whose fields name data, learners and files.
_NAMING = ("config.yaml", "status.json", "state.json", "result.json")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What was made, and what is tried on it.

    Attributes:
        number: with the seed, all that it was drawn from.
        base: the run or the kind of input that was mutated.
        mutations: in words; `kinds` are theirs.
        command: in short; `words` in full.
        stranger: whether the run was made by another user, so that no seal of it holds.
    """

    number: int
    base: str
    mutations: list[str]
    kinds: list[str]
    command: str
    words: list[str]
    stranger: bool


def make(seed: int, number: int, arena: Arena, bases: Path) -> Case:
    """Make a case in an arena that was cleared.

    Args:
        seed: of all cases.
        number: of this one.
        arena: where.
        bases: folder of the runs of `BASES`.
    """
    rng = random.Random(f"{seed} {number}")
    if rng.random() < INPUTS:
        kind = rng.choice(inputs.KINDS)
        done = inputs.build(kind, arena.run, rng, arena.victim)
        words = inputs.words(kind, arena.run, rng)
        command, base, mutations, kinds = words[0], kind, [done], [f"input: {kind}"]
    else:
        base = rng.choice([*BASES])
        shutil.copytree(bases / base, arena.run, symlinks=True)
        drawn = [_mutate(arena.run, rng, arena.victim) for _ in range(rng.choice((1, 1, 2, 3)))]
        mutations, kinds = [text for _, text in drawn], [kind for kind, _ in drawn]
        command = commands.draw(rng, base)
        words = commands.arguments(command, arena.run)
    return Case(
        number=number,
        base=base,
        mutations=mutations,
        kinds=kinds,
        command=command,
        words=words,
        stranger=rng.random() < 0.5,
    )


def _mutate(run: Path, rng: random.Random, victim: Path) -> tuple[str, str]:
    """Change something in a run; return the kind of change, and what was done."""
    kind = rng.choices([*MUTATIONS], [often for often, _ in MUTATIONS.values()])[0]
    return kind, MUTATIONS[kind][1](run, rng, victim)


def _files(run: Path, *suffixes: str) -> list[str]:
    """Return the regular files of a run, by their names in it."""
    return sorted(
        str(place.relative_to(run))
        for place in run.rglob("*")
        if (not suffixes or place.suffix in suffixes) and entries.is_own(place)
    )


Change = Callable[[bytes, str, random.Random, Path], tuple[bytes, str]]


def _changing(change: Change, *suffixes: str) -> Callable[[Path, random.Random, Path], str]:
    """Return what changes the content of one file of some kinds, and mostly its manifest, too."""

    def mutate(run: Path, rng: random.Random, victim: Path) -> str:
        names = _files(run, *suffixes)
        if not names:
            return "no file of the kind"
        name = rng.choice(names)
        content, done = change((run / name).read_bytes(), Path(name).suffix, rng, victim)
        (run / name).write_bytes(content)
        fits = rng.random() < 0.85
        if fits:
            entries.refit(run, name)
        return f"{name}: {done}{'' if fits else ', and the manifest does not fit'}"

    return mutate


def _name_code(run: Path, rng: random.Random, victim: Path) -> str:
    """Let a run's documents and its encoder name code, all alike, so that they fit together."""
    drawn, said = rng.random(), []
    for name in _files(run, ".json", ".yaml", ".safetensors"):
        own = random.Random(drawn)
        how = partial(documents.name_code, rng=own, victim=victim)
        suffix, content = Path(name).suffix, (run / name).read_bytes()
        if suffix == ".safetensors":
            content, done = tensors.claim(content, how)
        elif Path(name).name in _NAMING:
            content, done = documents.mutate(content, suffix, own, how)
        else:
            continue
        (run / name).write_bytes(content)
        entries.refit(run, name)
        said.append(f"{name}: {done}")
    return "; ".join(said)


def _entry(run: Path, rng: random.Random, victim: Path) -> str:
    """Put something else in the place of an entry, and sometimes let the manifest fit."""
    if rng.random() < 0.08:
        return entries.add_names(run, rng)
    there = sorted(str(place.relative_to(run)) for place in run.rglob("*"))
    name = rng.choice(there if there and rng.random() < 0.5 else entries.KNOWN)
    done = entries.change(run, name, rng, victim)
    if rng.random() < 0.6:
        entries.refit(run, name)
    return f"{name}: {done}"


def _manifest(run: Path, rng: random.Random, victim: Path) -> str:
    """Let the manifest name something outside, a pipe, or what a terminal would obey."""
    named = rng.choice([*paths(victim), *ESCAPES, "x" * 10**5])
    if named == "pipe":
        entries.change(run, "pipe", rng, victim)
    return entries.name_in_manifest(run, named)


MUTATIONS: dict[str, tuple[int, Callable[[Path, random.Random, Path], str]]] = {
    "document": (
        28,
        _changing(
            lambda content, suffix, rng, victim: documents.mutate(
                content, suffix, rng, lambda document: documents.edit(document, rng, victim)
            ),
            *_DOCUMENTS,
        ),
    ),
    "code": (14, _name_code),
    "tensors": (
        14,
        _changing(lambda c, _, rng, victim: tensors.mutate(c, rng, victim), ".safetensors"),
    ),
    "parquet": (
        16,
        _changing(lambda c, _, rng, victim: tables.mutate_parquet(c, rng, victim), ".parquet"),
    ),
    "csv": (2, _changing(lambda c, _, rng, victim: tables.mutate_csv(c, rng, victim), ".csv")),
    "bytes": (
        6,
        _changing(lambda c, _, rng, victim: (tables.flipped(c, rng, 0, len(c)), "bytes")),
    ),
    "entry": (24, _entry),
    "manifest": (5, _manifest),
}
