"""Making cases, trying them in forked children or for real, and judging how they end."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.hostile import cases, commands
from benchmarks.hostile.arena import Arena, Trace
from benchmarks.hostile.bases import BASES
from benchmarks.hostile.cases import Case
from benchmarks.hostile.child import SECONDS, Outcome, attempt
from benchmarks.hostile.judge import findings

#: what is imported before the first fork: the package, and whatever it needed for one run of each.
_PACKAGES = ["taskdiscovery", "torch", "sklearn", "scipy", "pandas", "pyarrow", "numpy", "PIL"]
_PACKAGES += ["jinja2", "yaml", "safetensors", "rich", "threadpoolctl", "joblib", "loky"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """A case, how it ended, and what is wrong with that."""

    case: Case
    outcome: Outcome
    findings: list[str]

    def record(self, seed: int) -> dict[str, Any]:
        """Return all that is needed to look into it."""
        return {
            "findings": self.findings,
            "replay": f"python -m benchmarks.hostile --seed {seed} --only {self.case.number}",
            **asdict(self.case),
            "code": self.outcome.code,
            "seconds": self.outcome.seconds,
            "megabytes": self.outcome.memory // 2**20,
            "err": self.outcome.err[-600:],
        }


class Harness:
    """Everything that the cases share.

    Args:
        root: a folder of its own.
        seed: of all cases.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self.seed, self.bases, self.arena = seed, root / "bases", Arena(root / "arena")
        self._state = root / "state"  # where the user's key of seals lies
        self.arena.build()
        self.arena.clear()
        sys.path.append(str(self.arena.path / "site"))
        self._before: dict[str, Trace] = self.arena.traces()
        self.tells_reads = self.arena.can_tell_reads()
        self._settle()

    def _settle(self) -> None:
        """Make the bases in a child, and import here what it needed: no thread is started here."""
        self.bases.mkdir()
        modules = self.bases / "modules"
        self._environment(stranger=False)
        pid = os.fork()
        if pid == 0:
            try:
                with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                    for name, make in BASES.items():
                        make(self.bases / name)
                    commands.perform(["label", str(self.bases / "whole"), "digits", "--quiet"])
                    commands.perform(["info", "digits", "--quiet"])
                modules.write_text("\n".join(sys.modules))
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        if os.waitpid(pid, 0)[1] != 0:
            raise RuntimeError("the bases cannot be made")
        for name in modules.read_text().split():
            if name.partition(".")[0] in _PACKAGES:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)

    def _environment(self, *, stranger: bool) -> None:
        scratch = self.arena.path / "scratch"
        os.environ |= {
            "TMPDIR": str(scratch),
            "TASKDISCOVERY_CACHE": str(scratch / "cache"),
            "HOME": str(self.arena.path / "home"),
            "XDG_STATE_HOME": str(scratch / "state" if stranger else self._state),
            "HOSTILE_TRAP": str(self.arena.trap),
        }

    def make(self, number: int) -> Case:
        """Make a case; the arena is then as its command finds it."""
        self.arena.clear()
        case = cases.make(self.seed, number, self.arena, self.bases)
        self._environment(stranger=case.stranger)
        self.arena.watch()
        return case

    def run(self, number: int) -> Result:
        """Make a case, try it in a forked child, and judge; what hangs idly is tried twice."""
        case = self.make(number)
        result = self._judged(case, attempt(lambda: self._act(case), self.arena))
        if result.outcome.ended == "hang" and result.outcome.cpu < SECONDS / 2:
            case = self.make(number)
            result = self._judged(case, attempt(lambda: self._act(case), self.arena))
        return result

    def _act(self, case: Case) -> int:
        tempfile.tempdir = None
        os.chdir(self.arena.path / "work")
        return commands.perform(case.words)

    def run_for_real(self, number: int) -> Result:
        """Make a case, and try it by a command line in a process of its own."""
        case, began = self.make(number), time.monotonic()
        path = os.pathsep.join([*_roots(), str(self.arena.path / "site")])
        command = [sys.executable, "-m", "taskdiscovery", *case.words]
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        ended = ""
        try:
            done = subprocess.run(
                command,
                cwd=self.arena.path / "work",
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=3 * SECONDS,  # it imports everything first
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            code, out, err, ended = -9, b"", b"", "hang"
        outcome = Outcome(
            code=code,
            seconds=round(time.monotonic() - began, 3),
            cpu=0.0,
            memory=0,
            out=out.decode("utf-8", "backslashreplace"),
            err=err.decode("utf-8", "backslashreplace"),
            ended=ended,
        )
        return self._judged(case, outcome)

    def _judged(self, case: Case, outcome: Outcome) -> Result:
        found = findings(outcome, self.arena, self._before)
        if any(text.startswith("outside") for text in found):
            self.arena.build()
            self.arena.clear()
            self._before = self.arena.traces()
        return Result(case=case, outcome=outcome, findings=found)


def _roots() -> list[str]:
    """Return where the package under test is imported from."""
    import taskdiscovery

    return [str(Path(taskdiscovery.__file__).parents[1])]
