"""Stop real jobs again and again, in every way, resume them to the end, and compare.

Lanes run side by side: half of them a `discover` in one process, the other half a `score` in worker
processes. What happens to them is drawn anew each time:

- `kill`: SIGKILL of the driver, half of the time just as a checkpoint is being written;
- `INT`, `TERM`, `HUP`, `USR1`, `USR2`: the job must save, exit with 128 + the signal's number, and
  say in `status.json` which it was;
- `worker`: SIGKILL of a worker process; the job must go on.

What an event left is looked at before the run goes on:

- `in_write`: kills that left a half-written checkpoint or a temporary file;
- `lost`: events after which the newest whole checkpoint was older than one seen before;
- `corrupted`: files or checkpoints at their final paths that differ from their manifest;
- `wrong_exit`, `unsaid`: signals after which the exit code or `status.json` was not as promised;
- `stuck`: jobs that did not go on after a worker was killed;
- `identical`: whether the results equal, by SHA-256, those of a run that was never stopped.

    python -m benchmarks.crash --events 200 --seed 0 --out benchmarks/results/DATE-crash.json
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.processes import command_of, descendants
from benchmarks.provenance import about, add_output, deliver
from taskdiscovery.store import Checkpoints, Run, verify

_SMALL = ["--learner", "convnet?width=0.25", "--threads", "1", "--batch", "64", "--quiet"]
_SEARCH = ["--tasks", "3", "--iterations", "3", "--epochs", "6", "--encoder-epochs", "12"]
_RUNS = ["--target", "label", "--runs", "12", "--epochs", "12"]
#: a signal that is not SIGKILL waits for the end of a step, of which the longest takes a second.
PATIENCE = 120.0
WORKER = "worker"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that is stopped and resumed.

    Attributes:
        command: its command line, without a place to write to.
        files: that must not differ from those of a run that was never stopped.
        events: what may happen to it, and how often.
    """

    command: list[str]
    files: tuple[str, ...]
    events: dict[str, int]

    def start(self, run: Path, seed: int, every: str = "0") -> list[str]:
        """Return the command line that begins it."""
        where = ["--seed", str(seed), "--checkpoint-every", every, "--out", str(run)]
        return command(*self.command, *where)

    def digests(self, run: Path) -> dict[str, str]:
        """Return the SHA-256 of the files that must not differ."""
        return {n: hashlib.sha256((run / n).read_bytes()).hexdigest() for n in self.files}


_SIGNALS = {"kill": 6, "INT": 1, "TERM": 2, "HUP": 2, "USR1": 2, "USR2": 1}
DISCOVER = Job(
    command=["discover", "digits", *_SMALL, *_SEARCH, "--executor", "serial"],
    files=("tasks.parquet", "coordinates.parquet", "encoder.safetensors"),
    events=_SIGNALS,
)
SCORE = Job(
    command=["score", "digits", *_SMALL, *_RUNS, "--executor", "processes", "--jobs", "2"],
    files=("scores/label/scores.parquet", "scores/label/per_image.parquet"),
    events={**_SIGNALS, "kill": 3, WORKER: 8},
)


@dataclass
class Tally:
    """What was seen in one lane."""

    events: Counter[str] = field(default_factory=Counter)
    in_write: int = 0
    lost: int = 0
    corrupted: int = 0
    wrong_exit: int = 0
    unsaid: int = 0
    stuck: int = 0
    finished: int = 0
    different: int = 0
    failures: list[str] = field(default_factory=list)


def command(*arguments: str) -> list[str]:
    """Return the command line of a real process."""
    return [sys.executable, "-m", "taskdiscovery", *arguments]


def leftovers(run: Path) -> list[str]:
    """Return what stands there half-written."""
    found = [p.name for p in run.glob(".*.tmp")]
    found += [p.name for p in (run / "checkpoints").glob(".building-0*")]
    return found


def newest(run: Path) -> int:
    """Return the number of the newest whole checkpoint, 0 where there is none."""
    checkpoints = Checkpoints(run / "checkpoints")
    return max((n for n in checkpoints.numbers() if checkpoints.problem(n) is None), default=0)


class Lane:
    """A job that is stopped and resumed until there is enough of it.

    Args:
        job: which.
        folder: of its runs.
        seed: of the job, and of what happens to it.
        rng: draws what happens.
        enough: says, with the number of events so far in this lane, whether to stop.
        expected: SHA-256 of the results of a run that was never stopped.
    """

    def __init__(
        self,
        job: Job,
        folder: Path,
        seed: int,
        rng: random.Random,
        enough: Callable[[], bool],
        expected: dict[str, str],
    ) -> None:
        self.job, self.folder, self.seed, self.rng = job, folder, seed, rng
        self.enough, self.expected, self.tally = enough, expected, Tally()

    def live(self) -> None:
        """Take runs from their beginning to their end, until there is enough."""
        number = 0
        while number == 0 or not self.enough():
            run = self.folder / f"run-{number}"
            number += 1
            while not self._is_done(run):
                if not self._sit(run):
                    return
            self.tally.finished += 1
            self.tally.different += self.job.digests(run) != self.expected
            self.tally.corrupted += sum(bool(finding.problem) for finding in verify(run))
            shutil.rmtree(run)

    @staticmethod
    def _is_done(run: Path) -> bool:
        return (run / "config.yaml").exists() and Run.open(run).state == "done"

    def _sit(self, run: Path) -> bool:
        """Begin or resume a run, and stop it; False where it cannot go on."""
        begun, seen = (run / "config.yaml").exists(), newest(run)
        words = command("resume", str(run), "--quiet") if begun else self.job.start(run, self.seed)
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(words, stderr=said, stdout=subprocess.DEVNULL)
            event = "" if self.enough() else self._happen(process, run)
            try:
                code = process.wait(timeout=PATIENCE if event else 600)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
            said.seek(0)
            return self._look(run, event, code, seen, said.read().decode(errors="replace"))

    def _happen(self, process: subprocess.Popen[bytes], run: Path) -> str:
        """Let something happen to a job; return what ended it, or nothing if it ended itself."""
        for _ in range(2):
            self._wait_for_progress(process, run)
            time.sleep(self.rng.uniform(0, 0.6))
            event = self.rng.choices([*self.job.events], [*self.job.events.values()])[0]
            if event != WORKER:
                break
            # No more than twice in a sitting: a training that was alone with two workers when they
            # died is set aside, as promised.
            self._kill_a_worker(process, run)
        else:
            event = "TERM"
        if event == "kill" and self.rng.random() < 0.6:
            self._wait_for_a_write(process, run)
        if process.poll() is not None:
            return ""
        process.send_signal(getattr(signal, f"SIG{event.upper()}"))
        return event

    @staticmethod
    def _wait_for_progress(process: subprocess.Popen[bytes], run: Path) -> bool:
        """Wait for a new checkpoint; return whether there was one."""
        began, patience = newest(run), time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < patience:
            numbers = Checkpoints(run / "checkpoints").numbers()
            if numbers and numbers[-1] > began:
                return True
            time.sleep(0.005)
        return False

    @staticmethod
    def _wait_for_a_write(process: subprocess.Popen[bytes], run: Path) -> None:
        building, patience = run / "checkpoints", time.monotonic() + 2
        while process.poll() is None and time.monotonic() < patience:
            try:
                if any(name.startswith(".building-0") for name in os.listdir(building)):
                    return
            except FileNotFoundError:
                pass

    def _kill_a_worker(self, process: subprocess.Popen[bytes], run: Path) -> None:
        """Kill one worker, and see the job go on or end."""
        workers = [p for p in descendants(process.pid) if "LokyProcess" in command_of(p)]
        if process.poll() is not None or not workers:
            return
        os.kill(self.rng.choice(workers), signal.SIGKILL)
        self.tally.events[WORKER] += 1
        went_on = self._wait_for_progress(process, run) or process.poll() == 0
        self.tally.stuck += not went_on

    def _look(self, run: Path, event: str, code: int, seen: int, complaint: str) -> bool:
        """Hold what an event left against what is promised; False where nothing can go on."""
        tally, done = self.tally, self._is_done(run)
        sent = getattr(signal, f"SIG{event.upper()}") if event else 0
        wanted = {"": 0, "kill": -9}.get(event, 128 + sent)
        if event and (code == wanted or not done):
            tally.events[event] += 1
            tally.in_write += event == "kill" and bool(leftovers(run))
        # What came when the results were committed already finds nothing to stop.
        if code not in (0, wanted) and not (done and code == -sent):
            tally.wrong_exit += 1
            tally.failures.append(f"{event or 'nothing'}: exit {code}: {complaint}")
            if not event:
                tally.lost += 1
                return False
        if not done and (run / "config.yaml").exists():
            tally.lost += newest(run) < seen
            checkpoints = Checkpoints(run / "checkpoints")
            problems = [n for n in checkpoints.numbers() if checkpoints.problem(n) is not None]
            tally.corrupted += len(problems)
            if event not in ("", "kill"):
                status = (run / "status.json").read_text("utf-8")
                tally.unsaid += f"SIG{event}" not in status or '"stopped"' not in status
        return True


def reference(job: Job, folder: Path, seed: int) -> dict[str, str]:
    """Do a job that nothing stops; return the digests of its results."""
    run = folder / f"reference-{job.command[0]}"
    subprocess.run(job.start(run, seed, "60"), check=True, stdout=subprocess.DEVNULL)
    return job.digests(run)


def total(tallies: list[Tally]) -> dict[str, Any]:
    """Add up what was seen in all lanes."""
    numbers = ("in_write", "lost", "corrupted", "wrong_exit", "unsaid", "stuck", "finished")
    events = sum((tally.events for tally in tallies), Counter[str]())
    return {
        "events": events.total(),
        "by_kind": dict(sorted(events.items())),
        **{name: sum(getattr(tally, name) for tally in tallies) for name in numbers},
        "identical": all(t.different == 0 for t in tallies) and any(t.finished for t in tallies),
    }


def main() -> None:
    """Run the references, then the lanes side by side, and print what was seen."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.crash", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--events", type=int, help="so many, however long they take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=2, help="runs stopped side by side")
    add_output(parser)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    os.environ["OMP_NUM_THREADS"] = "1"
    lanes: list[Lane] = []
    try:
        expected = {j.command[0]: reference(j, folder, options.seed) for j in (DISCOVER, SCORE)}
        until = time.monotonic() + options.seconds

        def enough() -> bool:
            if options.events is None:
                return time.monotonic() >= until
            return sum(lane.tally.events.total() for lane in lanes) >= options.events

        for index in range(options.lanes):
            job = (DISCOVER, SCORE)[index % 2]
            place = folder / f"lane-{index}"
            place.mkdir()
            rng = random.Random(f"{options.seed} {index}")
            lanes.append(Lane(job, place, options.seed, rng, enough, expected[job.command[0]]))
        threads = [threading.Thread(target=lane.live) for lane in lanes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for lane in lanes:
        for failure in lane.tally.failures:
            print(failure, file=sys.stderr)
    found = total([lane.tally for lane in lanes])
    deliver({"seed": options.seed, **found, "environment": about()}, options)
    if not options.json:
        print(found)
    wrong = ("lost", "corrupted", "wrong_exit", "unsaid", "stuck")
    sys.exit(not found["identical"] or any(found[name] for name in wrong))


if __name__ == "__main__":
    main()
