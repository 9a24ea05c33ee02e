"""Kill a real `discover` again and again, resume it to the end, and compare.

Half of the kills come at random moments, the other half as soon as a checkpoint is being written.
What a kill left is looked at before the run goes on:

- `in_write`: kills that left a half-written checkpoint or a temporary file;
- `lost`: kills after which the newest whole checkpoint was older than one seen before;
- `corrupted`: files or checkpoints at their final paths that differ from their manifest;
- `identical`: whether tasks, coordinates and encoder equal, by SHA-256, those of a run that was
  never stopped.

    python -m benchmarks.crash --seconds 60 --seed 0 --json
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from taskdiscovery.store import Checkpoints, Run, verify

FILES = ("tasks.parquet", "coordinates.parquet", "encoder.safetensors")
DISCOVER = ["discover", "digits", "--learner", "convnet?width=0.25", "--threads", "1"]
DISCOVER += ["--batch", "64", "--tasks", "3", "--iterations", "3", "--epochs", "6"]
DISCOVER += ["--encoder-epochs", "12", "--checkpoint-every", "0", "--quiet"]


@dataclass
class Tally:
    """What was seen in one lane."""

    kills: int = 0
    in_write: int = 0
    lost: int = 0
    corrupted: int = 0
    finished: int = 0
    different: int = 0
    failures: list[str] = field(default_factory=list)


def command(*arguments: str) -> list[str]:
    """Return the command line of a real process."""
    return [sys.executable, "-m", "taskdiscovery", *arguments]


def digests(run: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that must not differ."""
    return {name: hashlib.sha256((run / name).read_bytes()).hexdigest() for name in FILES}


def leftovers(run: Path) -> list[str]:
    """Return what stands there half-written."""
    found = [p.name for p in run.glob(".*.tmp")]
    found += [p.name for p in (run / "checkpoints").glob(".building-0*")]
    return found


def newest(run: Path) -> int:
    """Return the number of the newest whole checkpoint, 0 where there is none."""
    checkpoints = Checkpoints(run / "checkpoints")
    return max((n for n in checkpoints.numbers() if checkpoints.problem(n) is None), default=0)


def wait_and_kill(process: subprocess.Popen[bytes], run: Path, rng: random.Random) -> bool:
    """Kill a process after it has made progress; return whether it was still alive."""
    began = newest(run)
    patience = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < patience:
        numbers = Checkpoints(run / "checkpoints").numbers()
        if numbers and numbers[-1] > began:
            break
        time.sleep(0.005)
    time.sleep(rng.uniform(0, 0.6))
    if rng.random() < 0.6:  # wait for a write
        building = run / "checkpoints"
        patience = time.monotonic() + 2
        while process.poll() is None and time.monotonic() < patience:
            try:
                if any(name.startswith(".building-0") for name in os.listdir(building)):
                    break
            except FileNotFoundError:
                pass
    alive = process.poll() is None
    process.kill()
    process.wait()
    return alive


def lane(
    folder: Path, rng: random.Random, until: float, expected: dict[str, str], seed: int
) -> Tally:
    """Kill and resume until the time is over, then go to the end; begin anew where it ends."""
    tally = Tally()
    number = 0
    while number == 0 or time.monotonic() < until:
        run = folder / f"run-{number}"
        number += 1
        if not life(run, rng, until, expected, seed, tally):
            break
    return tally


def life(
    run: Path,
    rng: random.Random,
    until: float,
    expected: dict[str, str],
    seed: int,
    tally: Tally,
) -> bool:
    """Take one run from its beginning to its end; False where it cannot go on."""
    while True:
        begun = (run / "config.yaml").exists()
        if begun and Run.open(run).state == "done":
            break
        seen = newest(run)
        arguments = (
            ["resume", str(run), "--quiet"]
            if begun
            else [*DISCOVER, "--seed", str(seed), "--out", str(run)]
        )
        process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, stdout=-3)
        if time.monotonic() < until:
            if wait_and_kill(process, run, rng):
                tally.kills += 1
                tally.in_write += bool(leftovers(run))
        else:
            process.wait(timeout=600)
        assert process.stderr is not None
        complaint = process.stderr.read().decode()
        process.stderr.close()
        if process.returncode not in (0, -9):
            tally.failures.append(complaint)
            tally.lost += 1
            return False
        if begun or (run / "config.yaml").exists():
            done = Run.open(run).state == "done"
            tally.lost += not done and newest(run) < seen
            checkpoints = Checkpoints(run / "checkpoints")
            tally.corrupted += sum(
                checkpoints.problem(n) is not None for n in checkpoints.numbers()
            )
    tally.finished += 1
    tally.different += digests(run) != expected
    tally.corrupted += sum(bool(finding.problem) for finding in verify(run))
    return True


def main() -> None:
    """Run the reference, then two lanes side by side, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=2, help="runs killed side by side")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        reference = folder / "reference"
        arguments = [*DISCOVER, "--seed", str(options.seed), "--out", str(reference)]
        arguments[arguments.index("--checkpoint-every") + 1] = "60"
        subprocess.run(command(*arguments), check=True, stdout=subprocess.DEVNULL)
        expected = digests(reference)
        until = time.monotonic() + options.seconds
        tallies: list[Tally] = []

        def work(index: int) -> None:
            rng = random.Random(f"{options.seed} {index}")
            own = folder / f"lane-{index}"
            own.mkdir()
            tallies.append(lane(own, rng, until, expected, options.seed))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(options.lanes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = {
        name: sum(getattr(t, name) for t in tallies)
        for name in ("kills", "in_write", "lost", "corrupted", "finished")
    }
    different = sum(t.different for t in tallies)
    total |= {"identical": different == 0 and total["finished"] > 0}
    for tally in tallies:
        for failure in tally.failures:
            print(failure, file=sys.stderr)
    print(json.dumps(total) if options.json else total)


if __name__ == "__main__":
    main()
