"""How checks are done and told of: each guarded, in a line of its own, within a time for all."""

from __future__ import annotations

import collections
import contextlib
import json
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import taskdiscovery

Row = dict[str, Any]

PACKAGE = Path(taskdiscovery.__file__).parent

PASSED, FAILED, DIFFERS, SKIPPED = "ok", "FAIL", "DIFFERS", "SKIPPED"
#: it works, and is slower than was asked for.
MISSED = "MISSED"
FILES = LINES, TRACEBACKS, PROFILES = "checks.jsonl", "tracebacks.txt", "profiles.txt"
SUMMARY = "summary.json"
#: columns of the table of what is shown.
SHOWN = ("s", "asked s", "plain s", "ratio", "floor s", "share of the floor", "state")


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check.

    Attributes:
        name: what it is called.
        work: returns what it found; an entry `state` says where it did not pass.
        need: seconds that must be left for it to be begun.
    """

    name: str
    work: Callable[[], Row]
    need: float = 3.0


class Report:
    """Does checks while there is time, prints what they found, and keeps it in files.

    Args:
        out: directory for the files; those of an earlier report are removed.
        budget: seconds for all checks.
        match: checks whose name does not contain this are left out.
    """

    def __init__(self, out: Path, budget: float, match: str = "") -> None:
        self.out, self.budget, self.match = out, budget, match
        self.began, self.rows = time.perf_counter(), list[Row]()
        out.mkdir(parents=True, exist_ok=True)
        for name in (*FILES, SUMMARY):
            (out / name).unlink(missing_ok=True)

    @property
    def spent(self) -> float:
        """Seconds since the report began."""
        return time.perf_counter() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.budget - self.spent

    def do(self, checks: Iterable[Check], after: Callable[[], None]) -> None:
        """Do checks one after the other, and call `after` behind each."""
        for check in checks:
            if self.match not in check.name:
                continue
            if self.left < check.need:
                self._tell({"check": check.name, "state": SKIPPED, "left": round(self.left)})
            else:
                self._one(check)
                with contextlib.suppress(Exception):  # after an error of the device
                    after()

    def passed(self) -> bool:
        """Say whether nothing failed and nothing differs."""
        return not any(row["state"] in (FAILED, DIFFERS, MISSED) for row in self.rows)

    def summarize(self, environment: Row) -> None:
        """Write `summary.json`; print how many checks ended how, those that did not, the table.

        Args:
            environment: where it was done.
        """
        states = collections.Counter(row["state"] for row in self.rows)
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        print(f"==== {counts or 'nothing to check'}; {self.spent:.0f} s")
        for row in self.rows:
            if row["state"] != PASSED:
                print(row["state"], row["check"], row.get("error", ""), row.get("at", ""))
        shown = [row for row in self.rows if "asked s" in row]
        if shown:
            print(f"{'':44s}" + "".join(f"{name:>20s}" for name in SHOWN))
        for row in shown:
            print(f"{row['check']:44s}" + "".join(f"{row[name]!s:>20s}" for name in SHOWN))
        document = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": environment,
            "states": dict(states),
            "seconds": round(self.spent, 1),
            "shown": shown,
            "checks": [row for row in self.rows if row not in shown],
        }
        text = json.dumps(document, indent=1, default=str)
        (self.out / SUMMARY).write_text(text + "\n", encoding="utf-8")

    def _one(self, check: Check) -> None:
        began = time.perf_counter()
        try:
            found = dict(check.work())
            state = found.pop("state", PASSED)
        except (Exception, SystemExit) as error:
            state, found = FAILED, _described(error)
            with (self.out / TRACEBACKS).open("a", encoding="utf-8") as file:
                file.write(f"--- {check.name}\n{traceback.format_exc()}\n")
        took = round(time.perf_counter() - began, 2)
        self._tell({**found, "check": check.name, "state": state, "took": took})

    def _tell(self, row: Row) -> None:
        first = ("check", "state", "took")
        row = {k: row[k] for k in first if k in row} | row
        self.rows.append(row)
        with (self.out / LINES).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, default=str) + "\n")
        print(" | ".join(f"{key}={value}" for key, value in row.items()), flush=True)


def _described(error: BaseException) -> Row:
    """Say what was raised, and where in the package: else where in the checks."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(PACKAGE)]
    place = (own or frames)[-1]
    words = str(error).strip().splitlines()
    return {
        "error": f"{type(error).__name__}: {words[0][:220] if words else ''}",
        "at": f"{Path(place.filename).name}:{place.lineno}",
    }
