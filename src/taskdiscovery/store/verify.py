"""`verify RUN`: each file against its manifest; what is wrong, and what can still be used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from taskdiscovery.errors import first_line
from taskdiscovery.store import manifest
from taskdiscovery.store.checkpoints import STATE, Checkpoints
from taskdiscovery.store.files import CHECKPOINTS
from taskdiscovery.store.layout import remedy_of
from taskdiscovery.store.run import Run


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One file or checkpoint, and how it is.

    Attributes:
        file: path within the run directory.
        problem: what is wrong; empty where it is as it was written.
        remedy: what can be done about it.
    """

    file: str
    problem: str = ""
    remedy: str = ""


def verify(path: Path) -> list[Finding]:
    """Check every file of a run directory against the manifests.

    Raises:
        RunDirError: where it is no run directory, or of a newer format.
    """
    run = Run.open(path)
    unfinished = run.state != "done"
    findings = []
    try:
        entries = manifest.read(run.place)
        if not entries and not unfinished:
            findings.append(Finding(file=manifest.NAME, problem="missing", remedy="discover again"))
    except Exception as error:  # hostile files raise errors of every kind
        entries = {}
        findings.append(
            Finding(
                file=manifest.NAME, problem=f"damaged: {first_line(error)}", remedy="discover again"
            )
        )
    for name in entries:
        found = manifest.problem(run.place, name, entries)
        remedy = ""
        if found:
            remedy = remedy_of(name)
            if unfinished:
                remedy = (
                    "a job was stopped while it wrote: taskdiscovery resume RUN, or discard RUN"
                )
        findings.append(Finding(file=name, problem=found or "", remedy=remedy))
    return findings + _checkpoints(run.checkpoints)


def _checkpoints(checkpoints: Checkpoints) -> list[Finding]:
    numbers = checkpoints.numbers()
    problems = {number: checkpoints.problem(number) or "" for number in numbers}
    usable = [number for number in numbers if not problems[number]]
    remedy = (
        f"resume uses {usable[-1]:06d}"
        if usable
        else "none is left: taskdiscovery discard RUN, and begin again"
    )
    found = [
        Finding(
            file=f"{CHECKPOINTS}/{number:06d}",
            problem=problems[number],
            remedy=remedy if problems[number] else "",
        )
        for number in numbers
    ]
    return found + (_segments(checkpoints, usable[-1]) if usable else [])


def _segments(checkpoints: Checkpoints, number: int) -> list[Finding]:
    """Check the finished work that a checkpoint needs."""
    try:
        needed = {
            str(entry["name"]): dict(entry) for entry in checkpoints.read(number)[0]["segments"]
        }
    except Exception as error:  # hostile files raise errors of every kind
        file = f"{CHECKPOINTS}/{number:06d}/{STATE}"
        return [Finding(file=file, problem=first_line(error), remedy="begin again")]
    problems = {name: manifest.problem(checkpoints.place, name, needed) or "" for name in needed}
    remedy = "resume does its work again"
    return [
        Finding(file=f"{CHECKPOINTS}/{name}", problem=found, remedy=remedy if found else "")
        for name, found in problems.items()
    ]
