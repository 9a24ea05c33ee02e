"""Checks and timings on one CUDA GPU: five and a half minutes, a minute or two for a dry run.

    python -m benchmarks.gpu --out gpu                          what matters
    python -m benchmarks.gpu --out gpu --only env,variants,compile --budget 200
    python -m benchmarks.gpu --out gpu --only env,time --match train --tests 60
    python -m benchmarks.gpu --device cpu --tiny                a dry run, without a GPU

Sections: `env` (what there is), `show` (what the project promises, beside a plain loop), `smoke`
(does every job work), `agree` (does the GPU give what the CPU gives), `same` (does a training give
the same bits again), `time`; and where they are asked for `variants` (what would be faster) and
`compile`. A check that fails is told of, and the others go on; each line is also kept in
OUT/checks.jsonl as soon as it is there, and all of them, with the environment, in OUT/summary.json.
Failures have their traceback in OUT/tracebacks.txt, profiles their tables in OUT/profiles.txt. Exit
code 1 where a check failed, differs, or missed what was asked for.

With `--tests SECONDS` the package's tests that train run afterwards, as they are, for at most so
long: where a job names no device, they train on the GPU. Some expect the bits of a CPU.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import torch

from benchmarks.gpu import agree, compiled, environment, same, show, smoke, timing, variants
from benchmarks.gpu.harness import Check, Report
from benchmarks.gpu.lab import Lab
from benchmarks.machine import own_process
from benchmarks.provenance import about

ROOT = Path(__file__).parents[2]
SECTIONS: dict[str, Callable[[Lab], Iterator[Check]]] = {
    "env": environment.checks,
    "show": show.checks,
    "smoke": smoke.checks,
    "agree": agree.checks,
    "same": same.checks,
    "time": timing.checks,
    "variants": variants.checks,
    "compile": compiled.checks,
}
#: what is done where nothing is asked for.
USUAL = ("env", "show", "smoke", "agree", "same", "time")
TESTS = ("training", "networks", "batchnorm", "metagrad", "meta", "discovery", "splits", "resume")


def main() -> None:
    """Do the checks, then the tests."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--out", type=Path, default=Path("gpu_check"), help="directory of files")
    parser.add_argument("--budget", type=float, default=330.0, help="seconds for all checks")
    parser.add_argument("--only", default=",".join(USUAL), help="some of the sections")
    parser.add_argument("--match", default="", help="only checks whose name contains this")
    parser.add_argument("--tests", type=float, default=0.0, help="seconds for tests afterwards")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--full", action="store_true", help="show a whole score, not a scaled one")
    parser.add_argument("--data", default="", metavar="DATA", help="50,000 images of 32x32 pixels")
    parser.add_argument("--tiny", action="store_true", help="everything as small as it goes")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device; a dry run: --device cpu --tiny")
    warnings.simplefilter("ignore")
    logging.getLogger("taskdiscovery").setLevel(logging.ERROR)
    own_process(None)
    report = Report(options.out, options.budget, options.match)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.alarm(int(options.budget) + 15)
    try:
        with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
            check(options, names, report, Path(folder))
    finally:
        signal.alarm(0)
        report.summarize(about() | environment.environment(options.device == "cuda"))
    tested = run_tests(options.out, options.tests) if options.tests else True
    sys.exit(not (report.passed() and tested))


def check(options: argparse.Namespace, names: Sequence[str], report: Report, folder: Path) -> None:
    """Do the checks of some sections; what they write goes into a folder."""
    os.environ["TASKDISCOVERY_CACHE"] = str(folder / "cache")
    runs = folder / "runs"
    runs.mkdir()
    lab = Lab(
        device=options.device,
        tiny=options.tiny,
        folder=runs,
        report=report,
        full=options.full,
        data=options.data,
    )
    for name in names:
        report.do(SECTIONS[name](lab), lab.fresh)


def _out_of_time(number: int, frame: FrameType | None) -> None:
    raise TimeoutError("the time for all checks is over")


def run_tests(out: Path, seconds: float) -> bool:
    """Run the tests that train, for at most so long; say whether none failed."""
    files = [f"tests/test_{name}.py" for name in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "--tb=line"]
    command += ["-p", "no:cacheprovider", "-o", "addopts=", "-m", "not slow"]
    command += ["-n", str(min(8, len(os.sched_getaffinity(0))))]
    command += [file for file in files if (ROOT / file).exists()]
    place = out / "pytest.txt"
    with place.open("w", encoding="utf-8") as file:
        try:
            done = subprocess.run(
                command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, timeout=seconds
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = -1
    told = ("FAILED", "ERROR")
    lines = place.read_text("utf-8").splitlines()
    print(*[line for line in lines if line.startswith(told) or " passed" in line][-30:], sep="\n")
    print("tests:", "out of time" if code == -1 else f"exit code {code}", f"(see {place})")
    return code in (0, -1)


if __name__ == "__main__":
    main()
