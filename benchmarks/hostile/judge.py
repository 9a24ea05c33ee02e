"""What of an outcome is a finding."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.hostile.arena import ODD_SIZE, SECRET, Arena, Trace
from benchmarks.hostile.child import MEMORY, SECONDS, Outcome
from benchmarks.hostile.entries import is_own

#: done, usage or config, data, run directory, resources, numerical, workers.
EXPECTED = (0, 2, 3, 4, 5, 6, 7)
LINES = 3
#: an allocation that was tried and refused by the system: nobody had looked at what was declared.
_REFUSED = re.compile(r"out of memory|Unable to allocate|malloc of size|MemoryError|std::bad_alloc")
#: control characters that a terminal would obey; C1 as they stand in decoded text.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def findings(outcome: Outcome, arena: Arena, before: Mapping[str, Trace]) -> list[str]:
    """Return what is wrong with how a case ended, as `kind: what`; empty where nothing is.

    Args:
        outcome: of the case.
        arena: as it was left.
        before: what must not have changed, as it was.
    """
    read = [f"read: {name}" for name in arena.read()]
    found = [*_end(outcome), *_words(outcome), *read, *_touched(arena, before)]
    return list(dict.fromkeys(found + outcome.events))


def _end(outcome: Outcome) -> list[str]:
    """Say what is wrong with the way it ended, and with what it needed."""
    if outcome.ended == "hang":
        return [f"hang: more than {SECONDS:.0f} s, {outcome.cpu:.1f} s of them at work"]
    if outcome.ended == "memory" or outcome.memory > MEMORY:
        return [f"memory: more than {MEMORY // 2**20} MB"]
    if outcome.code < 0:
        return [f"signal: ended by {-outcome.code}"]
    if outcome.code not in EXPECTED:
        said = outcome.err.splitlines() or [""]
        bugs = [line for line in said if line.startswith("bug:")]
        return [f"exit: {outcome.code}: {(bugs or said)[-1][:160]}"]
    return []


def _words(outcome: Outcome) -> list[str]:
    """Say what is wrong with what it wrote on the terminal."""
    found, both = [], outcome.out + outcome.err
    lines = outcome.err.splitlines()
    if "Traceback (most recent call last)" in outcome.err:
        found.append(f"traceback: {lines[-1][:160]}")
    elif len(lines) > LINES:
        found.append(f"long: {len(lines)} lines on stderr, the first is {lines[0][:120]}")
    if control := _CONTROL.search(both):
        found.append(f"escape: {control.group()!r} reaches the terminal")
    if _REFUSED.search(outcome.err):
        found.append(f"allocation: {lines[0][:160]}")
    if SECRET in both or re.search(rf"\b{ODD_SIZE}\b", both):
        found.append("leak: the victim's content is told")
    return found


def _touched(arena: Arena, before: Mapping[str, Trace]) -> list[str]:
    """Say what was done outside of the run."""
    found, after = [], arena.traces()
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            how = "made" if name not in before else "removed" if name not in after else "changed"
            found.append(f"outside: {how} {name or 'something beside the run'}")
    if arena.trap.exists():
        found.append(f"imported: {arena.trap.read_text().split()[0]}")
    report = arena.run / "report.html"
    if is_own(report) and SECRET.encode() in report.read_bytes():
        found.append("leak: the victim's content is in the report")
    return found
