"""How fast, how lean: every job beside a plain PyTorch loop, alternating in one run.

    python -m benchmarks --quick --json         at most 3 minutes on two cores
    python -m benchmarks --full --json          larger cases, four rounds: most of an hour

Ratios are of times within a round, medians over rounds. Memory is the peak beyond what was held
before, of this process. `share_of_convolutions` is our throughput as a share of that of the
network's convolutions alone; `share_of_product_peak` as a share of the best matrix product.
"""

from __future__ import annotations

import argparse
import time
import warnings

from benchmarks.cases import CASES, Setting
from benchmarks.machine import own_process, product_peak
from benchmarks.provenance import about, add_output, deliver, told
from taskdiscovery.executors import resolve_precision


def main() -> None:
    """Run the cases, print each as it is done, then the document."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0]
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small cases (the default)")
    size.add_argument("--full", action="store_true", help="larger cases, more rounds")
    parser.add_argument("--only", default=",".join(CASES), help="some of the cases")
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bf16"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    add_output(parser)
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := set(names) - set(CASES):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    warnings.simplefilter("ignore")
    threads = own_process(None)
    began = time.perf_counter()
    precision = resolve_precision(options.precision, options.device)
    peak = {kind: product_peak(kind, options.device) for kind in {"float32", precision}}
    setting = Setting(full=options.full, precision=precision, device=options.device, peak=peak)
    rows = told(row for name in names for row in CASES[name](setting))
    document = {
        "cases": rows,
        "product_peak_gflops": {kind: round(value / 1e9) for kind, value in peak.items()},
        "threads": threads,
        "seconds": round(time.perf_counter() - began, 1),
        "environment": about(),
    }
    deliver(document, options)


if __name__ == "__main__":
    main()
