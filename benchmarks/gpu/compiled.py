"""What does `torch.compile` gain? Each case in a process of its own, which can be ended.

python -m benchmarks.gpu.compiled default:convnet
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.gpu.harness import Check, Report, Row
from benchmarks.gpu.lab import Lab
from benchmarks.gpu.variants import stepping
from benchmarks.metagrad import Case, ours, search_of

#: mode of the compiler, or `meta`, and network.
CASES = (
    "default:convnet",
    "default:resnet18",
    "max-autotune-no-cudagraphs:convnet",
    "meta:convnet",
    "reduce-overhead:resnet18",
)
#: seconds after which a case is ended.
LONG = 110.0


def checks(lab: Lab) -> Iterator[Check]:
    """Yield the checks of this section; a dry run compiles nothing, which takes minutes."""
    for case in () if lab.tiny else CASES:
        yield Check(name=f"compile {case}", work=partial(apart, lab, case), need=45)


def apart(lab: Lab, case: str) -> Row:
    """Do a case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu.compiled", case, "--device", lab.device]
    limit = max(10.0, min(LONG, lab.report.left - 5))
    done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    if done.returncode:
        words = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(words[-1][:200])
    found: Row = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def measure(lab: Lab, case: str) -> Row:
    """Time the first call of a compiled step, the following ones, and those of a plain step."""
    kind, network = case.split(":", 1)
    if kind == "meta":
        steps = 4
        searches = [
            search_of(Case(network, 256, steps, lab.precision, "store", compiled), lab.device)
            for compiled in (False, True)
        ]
        plain, other = (ours(search) for search in searches)
        usual = lab.clock(plain, 2, 1) / steps
        first = lab.clock(other)
        later = lab.clock(other, 3, 1) / steps
    else:
        usual = lab.clock(stepping(lab, network, lab.precision), 20, 5)
        began = time.perf_counter()
        step = stepping(lab, network, lab.precision, compiled=kind)
        lab.clock(step)
        first = time.perf_counter() - began
        later = lab.clock(step, 30, 5)
    return {
        "s of the first call": round(first, 1),
        "ms a step": round(1e3 * usual, 3),
        "ms a compiled step": round(1e3 * later, 3),
    }


def main() -> None:
    """Do one case, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="gpu-") as name:
        folder = Path(name)
        report = Report(folder, LONG)
        lab = Lab(device=options.device, tiny=False, folder=folder, report=report)
        print(json.dumps(measure(lab, options.case)))


if __name__ == "__main__":
    main()
