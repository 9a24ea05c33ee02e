"""The experiments behind docs/results.md.

    python -m experiments separates --data parquet:train.parquet --learner mlp
    python -m experiments features --data parquet:bar/train.parquet --pixels 1
    python -m experiments all --data parquet:train.parquet --photographs folder:imagenette
    python -m experiments page

Given again, a command goes on where it was stopped. Results are dated files in
experiments/results; `page` makes docs/results.md of the newest of each.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.machine import own_process

import taskdiscovery as td
from experiments import page
from experiments.laboratory import Laboratory
from experiments.records import record
from experiments.studies import STUDIES


def main() -> None:
    """Do one experiment, all of them, or the page."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("name", choices=[*STUDIES, "all", "page"])
    parser.add_argument("--data", default="", help="labelled images, e.g. parquet:train.parquet")
    parser.add_argument("--photographs", default="", help="for the experiment of that name")
    parser.add_argument("--learner", default="", help="one of those an experiment is made for")
    parser.add_argument("--work", type=Path, default=Path("runs/experiments"))
    parser.add_argument(
        "--pixels", type=int, default=0, help="of features: seeds that search on pixels, too; slow"
    )
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="cpu", help="of all trainings, e.g. cuda")
    parser.add_argument(
        "--published", type=Path, default=None, help="folder of labels published with the paper"
    )
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    warnings.simplefilter("ignore")
    if options.name == "page":
        print(page.write())
        return
    own_process(options.threads)
    for name in STUDIES if options.name == "all" else [options.name]:
        data = options.photographs if name == "photographs" else options.data
        if not data:
            parser.error(f"{name} needs --{'photographs' if name == 'photographs' else 'data'}")
        size: dict[str, Any] = {"size": 32} if name == "photographs" else {}
        lab = Laboratory(
            dataset=td.load(data, **size),
            work=options.work,
            threads=options.threads,
            pixels=options.pixels,
            device=options.device,
            published=options.published,
        )
        for learner in STUDIES[name].learners:
            if options.learner in ("", learner):
                began = time.perf_counter()
                document = STUDIES[name].run(lab, learner)
                claims = [claim.text for claim in STUDIES[name].claims]
                print(record(name, {"claims": claims, **document}, began))


if __name__ == "__main__":
    main()
