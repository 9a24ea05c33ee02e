"""Whether a job of two hours holds no more at its end than at its beginning.

Three processes live side by side for the whole time, each of them one process from the first minute
to the last, since what leaks does so within a process:

- `serial`: the command `score` on so many random labelings of the digits that it does not end, with
  a run directory, a checkpoint every second, in one process;
- `processes`: the same, with `--executor processes --jobs 2`;
- `library`: `td.score`, `td.discover`, `td.label`, `td.report` and `verify`, again and again.

Each of them and all of its descendants are looked at every ten seconds, and each look is written
at once, into OUT.jsonl, so that a stop loses nothing. At the end the two commands are sent SIGTERM,
and must save, exit with 143 and leave a run whose files are whole.

The rule, fixed beforehand: the first tenth of the time is a warm-up. From then on the growth of a
quantity is its Theil-Sen slope (the median over all pairs of looks) times the duration. It must not
exceed the quantity's allowance in `RULES`: a share of its median or a few units, whichever is more;
and what every finished labeling may add, since its scores are kept until the job writes them.

    python -m benchmarks.soak --minutes 120 --out benchmarks/results/DATE-soak.json
    python -m benchmarks.soak --of benchmarks/results/DATE-soak.jsonl    # the verdict alone
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import descendants
from benchmarks.provenance import about, save

PARTS = ("serial", "processes", "library")
#: of each part: none may end before the time is over, on a machine several times as fast.
LABELINGS_A_MINUTE = 40
WARM_UP = 0.1
SCORE = ["score", "digits", "--learner", "convnet?width=0.25", "--runs", "2", "--epochs", "60"]
SCORE += ["--threads", "1", "--checkpoint-every", "1", "--quiet", "--format", "json"]
MB = 2**20

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How much a quantity may grow.

    Attributes:
        share: of its median.
        units: or so many of its own units, where that is more.
        each: and so many for every labeling that was finished meanwhile, in `score` only.
    """

    share: float = 0.0
    units: float = 0.0
    each: float = 0.0


RULES = {
    "driver_memory": Rule(share=0.05, units=16 * MB, each=32 * 1024),
    "driver_handles": Rule(units=1),
    "driver_threads": Rule(units=1),
    "children": Rule(units=0.5),
    "children_memory": Rule(share=0.05, units=16 * MB),
    "children_handles": Rule(units=1),
    "children_threads": Rule(units=1),
    "run_files": Rule(units=2),
    "run_bytes": Rule(units=256 * 1024, each=8 * 1024),
    "temporary_files": Rule(units=1),
    "temporary_bytes": Rule(share=0.05, units=MB),
}


def held(pids: Sequence[int]) -> tuple[int, int, int]:
    """Return the resident bytes, open handles and threads of some processes."""
    memory = handles = threads = 0
    for pid in pids:
        place = Path(f"/proc/{pid}")
        with contextlib.suppress(OSError):  # it has ended
            memory += int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            handles += len(os.listdir(place / "fd"))
            threads += len(os.listdir(place / "task"))
    return memory, handles, threads


def stored(folder: Path) -> tuple[int, int]:
    """Return how many files lie in a folder, and their bytes."""
    sizes = []
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # replaced meanwhile
                sizes.append(os.lstat(os.path.join(place, name)).st_size)
    return len(sizes), sum(sizes)


class Part:
    """One process that lives as long as the soak.

    Args:
        name: one of `PARTS`.
        folder: of its own.
        minutes: how long it is to live.
    """

    def __init__(self, name: str, folder: Path, minutes: float) -> None:
        self.name, self.run, self._temporary = name, folder / "run", folder / "temporary"
        self._temporary.mkdir(parents=True)
        if name == "library":
            command = ["-m", "benchmarks.soak", "--library", str(self.run)]
        else:
            table = write_labelings(folder, max(20, int(LABELINGS_A_MINUTE * minutes)))
            how = ["--executor", name] + (["--jobs", "2"] if name == "processes" else [])
            command = ["-m", "taskdiscovery", *SCORE, *how]
            command += ["--from", str(table), "--out", str(self.run)]
        # Nobody is to read what it says for two hours: a file takes it.
        self._said = (folder / "said").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=self._said,
            stderr=self._said,
            env={**os.environ, "TMPDIR": str(self._temporary), "OMP_NUM_THREADS": "1"},
        )

    def finished(self) -> int:
        """Count the labelings, or rounds, that are done."""
        place = self.run / ("rounds" if self.name == "library" else "metrics.jsonl")
        with contextlib.suppress(OSError):
            return place.read_bytes().count(b"\n")
        return 0

    def look(self) -> Row:
        """Say what the process and its descendants hold now."""
        pid = self.process.pid
        children = descendants(pid)
        memory, handles, threads = held([pid])
        their_memory, their_handles, their_threads = held(children)
        run_files, run_bytes = stored(self.run)
        temporary_files, temporary_bytes = stored(self._temporary)
        return {
            "part": self.name,
            "finished": self.finished(),
            "driver_memory": memory,
            "driver_handles": handles,
            "driver_threads": threads,
            "children": len(children),
            "children_memory": their_memory,
            "children_handles": their_handles,
            "children_threads": their_threads,
            "run_files": run_files,
            "run_bytes": run_bytes,
            "temporary_files": temporary_files,
            "temporary_bytes": temporary_bytes,
        }

    def end(self) -> Row:
        """End the process, and say how it went; a command must save and leave whole files."""
        early = self.process.poll() is not None
        self.process.terminate()
        try:
            code = self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._said.close()
        found: Row = {"exit": code, "ended_early": early, "finished": self.finished()}
        if self.name == "library":
            return {**found, "well": not early and code == -signal.SIGTERM}
        verify = [sys.executable, "-m", "taskdiscovery", "verify", str(self.run)]
        found["verify"] = subprocess.run(verify, stdout=subprocess.DEVNULL).returncode
        found["left_in_temporary"] = stored(self._temporary)[0]
        clean = found["verify"] == 0 and found["left_in_temporary"] == 0
        return {**found, "well": clean and not early and code == 143}


def write_labelings(folder: Path, count: int) -> Path:
    """Write a table of random labelings of the digits."""
    import pandas as pd

    labels = np.random.default_rng(0).integers(0, 2, (1797, count), dtype=np.uint8)
    names = [f"labeling_{i:05d}" for i in range(count)]
    pd.DataFrame(labels, columns=names).to_parquet(folder / "labelings.parquet")
    return folder / "labelings.parquet"


def use_the_library(folder: Path) -> None:
    """Call the library again and again in this process, until it is ended."""
    import taskdiscovery as td
    from taskdiscovery.store import verify

    folder.mkdir()
    digits = td.load("digits")
    small: dict[str, Any] = {"learner": "convnet?width=0.25", "threads": 1, "callbacks": ()}
    labels = np.random.default_rng(0).integers(0, 2, (len(digits), 3))
    with (folder / "rounds").open("a") as rounds:
        while True:
            td.score(digits, labels, preset="smoke", executor="serial", **small)
            run = folder / "discovered"
            method = td.Power(iterations=2)
            found = td.discover(
                digits, method=method, tasks=3, epochs=2, encoder_epochs=2, out=run, **small
            )
            td.score(digits, found, preset="smoke", out=run, **small)
            opened = td.open_run(run)
            td.label(opened, digits, callbacks=())
            td.report(folder / "report.html", digits, opened)
            if any(finding.problem for finding in verify(run)):
                raise RuntimeError("the run is damaged")
            shutil.rmtree(run)
            rounds.write("done\n")
            rounds.flush()


def soak(
    parts: Sequence[Part], minutes: float, every: float, place: Path, stop: list[int]
) -> Iterator[Row]:
    """Look at all parts until the time is over, all have ended, or a signal came; keep each look.

    Args:
        parts: started.
        minutes: how long.
        every: seconds between looks.
        place: where each look is written, a line each.
        stop: where a signal handler enters what came.
    """
    began = time.monotonic()
    with place.open("w", encoding="utf-8") as stream:
        while time.monotonic() - began < 60 * minutes and not stop:
            alive = [part for part in parts if part.process.poll() is None]
            if not alive:
                return
            for part in alive:
                row = {"seconds": round(time.monotonic() - began, 1), **part.look()}
                stream.write(json.dumps(row) + "\n")
                stream.flush()
                yield row
            time.sleep(every)


def judge(rows: Sequence[Row], part: str) -> Row:
    """Hold what was seen of a part against the rules."""
    rows = [row for row in rows if row["part"] == part]
    last = rows[-1]["seconds"] if rows else 0.0
    rows = [row for row in rows if row["seconds"] >= WARM_UP * last]
    if len(rows) < 5:
        return {"looks": len(rows), "flat": False}
    seconds = np.array([row["seconds"] for row in rows])
    finished = rows[-1]["finished"] - rows[0]["finished"]
    quantities = {}
    for name, rule in RULES.items():
        values = np.array([float(row[name]) for row in rows])
        growth = slope(seconds, values) * float(seconds[-1] - seconds[0])
        allowed = max(rule.share * float(np.median(values)), rule.units)
        allowed += 0 if part == "library" else rule.each * finished
        quantities[name] = {
            "median": float(np.median(values)),
            "largest": float(values.max()),
            "growth": round(growth, 1),
            "allowed": round(allowed, 1),
            "flat": bool(growth <= allowed),
        }
    return {
        "looks": len(rows),
        "minutes": round(float(seconds[-1] - seconds[0]) / 60, 1),
        "finished": finished,
        "flat": all(one["flat"] for one in quantities.values()),
        "quantities": quantities,
    }


def slope(seconds: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> float:
    """Return the median of the slopes between all pairs of points (Theil 1950, Sen 1968)."""
    i, j = np.triu_indices(len(seconds), 1)
    return float(np.median((values[j] - values[i]) / (seconds[j] - seconds[i])))


def copy_of_the_package(folder: Path) -> None:
    """Let all parts use a copy of the package: an edit within two hours plays no part."""
    import taskdiscovery

    here = Path(__file__).parent
    ignored = shutil.ignore_patterns("__pycache__", "results")
    for source in (Path(taskdiscovery.__file__).parent, here):
        shutil.copytree(source, folder / source.name, ignore=ignored)
    os.environ["PYTHONPATH"] = str(folder)
    os.environ["TASKDISCOVERY_CACHE"] = str(folder / "cache")
    os.chdir(folder)


def main() -> None:
    """Soak, judge, write; the exit code is 1 where something grew or ended badly."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between looks")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, default=Path("soak.json"))
    parser.add_argument("--of", type=Path, help="judge the looks of an earlier soak")
    parser.add_argument("--library", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.library is not None:
        return use_the_library(options.library)
    if options.of is not None:
        rows = [json.loads(line) for line in options.of.read_text("utf-8").splitlines()]
        verdict = {name: judge(rows, name) for name in dict.fromkeys(r["part"] for r in rows)}
        print(json.dumps(verdict, indent=1))
        sys.exit(not all(found["flat"] for found in verdict.values()))
    sys.exit(not run(options))


def run(options: argparse.Namespace) -> bool:
    """Soak as the options ask, write the document, and say whether all was flat and ended well."""
    out = options.out.resolve()
    provenance, began = about(), time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda got, _: stop.append(got))
    try:
        copy_of_the_package(folder)
        parts = [Part(name, folder / name, options.minutes) for name in options.parts]
        looks = out.with_suffix(".jsonl")
        rows = list(soak(parts, options.minutes, options.every, looks, stop))
        endings = {part.name: part.end() for part in parts}
        said = {part.name: (folder / part.name / "said").read_bytes()[-500:] for part in parts}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    verdict = {name: {**judge(rows, name), "end": endings[name]} for name in endings}
    well = all(found["flat"] and found["end"]["well"] for found in verdict.values())
    for name, found in verdict.items():
        if not found["end"]["well"]:
            found["end"]["said"] = said[name].decode(errors="replace")
    rules = {name: vars(rule) for name, rule in RULES.items()}
    document = {"began": began, "stopped_by": stop, "well": well, "parts": verdict, "rules": rules}
    save({**document, "warm_up": WARM_UP, "environment": provenance}, out)
    print(json.dumps({"well": well, "parts": verdict}, indent=1))
    return well


if __name__ == "__main__":
    main()
