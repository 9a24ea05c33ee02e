"""Try so many cases, and say what was found.

python -m benchmarks.hostile --count 2000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.hostile import commands
from benchmarks.hostile.child import resident
from benchmarks.hostile.harness import Harness, Result
from benchmarks.provenance import about, save


@dataclass
class Summary:
    """Counts of what was tried, and what was seen."""

    cases: int = 0
    broken: list[str] = field(default_factory=list)
    with_findings: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    bases: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    findings: Counter[str] = field(default_factory=Counter)
    findings_by_command: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, int, str]] = field(default_factory=list)
    largest: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """Count a result."""
        case, outcome = result.case, result.outcome
        self.cases += 1
        self.with_findings += bool(result.findings)
        self.commands[case.command] += 1
        self.bases[case.base] += 1
        self.mutations.update(case.kinds)
        self.codes[outcome.code] += 1
        kinds = {text.partition(":")[0] for text in result.findings}
        self.findings.update(kinds)
        self.findings_by_command.update(f"{case.command}: {kind}" for kind in kinds)
        told = (case.number, case.command)
        self.slowest = sorted([*self.slowest, (outcome.seconds, *told)], reverse=True)[:10]
        largest = (outcome.memory // 2**20, *told)
        self.largest = sorted([*self.largest, largest], reverse=True)[:10]


def compare(harness: Harness, count: int, first: int) -> dict[str, Any]:
    """Try cases both ways, and say where the exit codes differ."""
    found: dict[str, Any] = {"tried": 0, "differ": [], "findings": []}
    number = first
    while found["tried"] < count:
        number += 1
        forked = harness.run(number)
        if forked.case.words[0] in commands.LIBRARY:
            continue
        real = harness.run_for_real(number)
        found["tried"] += 1
        if real.findings:
            found["findings"].append(real.record(harness.seed))
        if forked.outcome.code != real.outcome.code:
            codes = {"forked": forked.outcome.code, "real": real.outcome.code}
            found["differ"].append({"number": number, **codes, "err": real.outcome.err[-300:]})
    return found


def main() -> None:
    """Try the cases; the exit code is 1 where there was a finding."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", type=int, help="one case, with all that it says")
    parser.add_argument(
        "--real", type=int, default=0, help="so many in processes of their own, too"
    )
    parser.add_argument("--out", type=Path, help="a JSON file; findings go to OUT.jsonl beside it")
    parser.add_argument("--place", type=Path, help="where to work (default: /dev/shm, if there)")
    options = parser.parse_args()
    options.out = options.out and options.out.resolve()
    import torch

    torch.set_num_threads(1)
    shared = Path("/dev/shm")  # in memory: nothing here needs to outlive the machine
    place = options.place or (shared if os.access(shared, os.W_OK) else None)
    provenance = about()
    root = Path(tempfile.mkdtemp(prefix="hostile-", dir=place))
    try:
        harness = Harness(root, options.seed)
        if options.only is not None:
            sys.exit(show(harness.run(options.only), options.seed))
        sys.exit(go_through(harness, options, provenance))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def show(result: Result, seed: int) -> bool:
    """Print one result with all that it said; return whether there was a finding."""
    print(json.dumps(result.record(seed), indent=1, default=str))
    print("--- stdout", result.outcome.out[-3000:], "--- stderr", result.outcome.err, sep="\n")
    return bool(result.findings)


def go_through(harness: Harness, options: argparse.Namespace, provenance: Any) -> bool:
    """Try all cases, write what was found as it is found; return whether there was a finding.

    Ctrl-C or SIGTERM ends it early, and what was tried until then counts.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began, summary, looked = time.monotonic(), Summary(), resident(os.getpid())
    try:
        try_all(harness, options, summary)
    except KeyboardInterrupt:
        print(f"stopped after {summary.cases} cases", file=sys.stderr)
    real = compare(harness, options.real, options.first) if options.real else None
    document = {
        "seed": options.seed,
        "first": options.first,
        **vars(summary),
        "seconds": round(time.monotonic() - began),
        "parent_megabytes": [looked // 2**20, resident(os.getpid()) // 2**20],
        "tells_reads": harness.tells_reads,
        "real": real,
        "environment": provenance,
    }
    save(document, options.out)
    print(json.dumps({k: v for k, v in document.items() if k != "environment"}, indent=1))
    differ = bool(real and (real["differ"] or real["findings"]))
    return differ or bool(summary.with_findings or summary.broken)


def try_all(harness: Harness, options: argparse.Namespace, summary: Summary) -> None:
    """Try all cases, and count them; tell of findings, and of every thousand cases."""
    records = options.out.with_suffix(".jsonl") if options.out else Path(os.devnull)
    with records.open("w", encoding="utf-8") as stream:
        for number in range(options.first, options.first + options.count):
            if summary.cases and summary.cases % 1000 == 0:
                print(f"{summary.cases} cases, {summary.with_findings} findings", file=sys.stderr)
            try:
                result = harness.run(number)
            except Exception as error:  # a fault of the harness must not end an hour's work
                summary.broken.append(f"{number}: {type(error).__name__}: {error}"[:200])
                traceback.print_exc()
                continue
            summary.add(result)
            if result.findings:
                stream.write(json.dumps(result.record(options.seed), default=str) + "\n")
                stream.flush()
                print(number, result.case.command, result.findings, flush=True)


if __name__ == "__main__":
    main()
